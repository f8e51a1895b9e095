from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from engine.errors import NotFoundError, NotReadyError
from engine.rootfs.progress import Progress
from engine.setup import system, systemd
from engine.setup.base import Finding, SetupContext, Step
from engine.setup.ledger import Ledger
from engine.setup.steps import STEPS, apply, plan
from tests.unit.setup.conftest import MakeContext


@dataclass
class Host:
    """What three steps change: b needs a, c stands alone."""

    done: set[str] = field(default_factory=set)
    applied: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)

    def step(self, name: str, *needs: str) -> Step:
        async def check(ctx: SetupContext) -> Finding:
            return Finding(name in self.done, f"{name} seen", (f"make {name}",))

        async def make(ctx: SetupContext, progress: Progress) -> None:
            self.applied.append(name)
            if name in self.failing:
                raise NotReadyError(f"{name} broke", remedy=f"mend {name}")
            self.done.add(name)

        return Step(name, name.upper(), "for the test", check, make, needs=needs)

    @property
    def steps(self) -> tuple[Step, ...]:
        return (self.step("a"), self.step("b", "a"), self.step("c"))


@pytest.fixture
def host() -> Host:
    return Host()


async def test_a_plan_changes_nothing(ctx: SetupContext, host: Host) -> None:
    host.done.add("a")
    assert [step.done for step in await plan(ctx, host.steps)] == [True, False, False]
    assert host.applied == []


async def test_only_what_is_not_done_is_done_in_order(ctx: SetupContext, host: Host) -> None:
    host.done.add("b")
    await apply(ctx, steps=host.steps)
    assert host.applied == ["a", "c"]


async def test_each_step_is_announced_before_it_is_applied_and_no_other(ctx: SetupContext, host: Host) -> None:
    host.done.add("b")
    announced: list[tuple[str, list[str]]] = []
    await apply(ctx, steps=host.steps, begin=lambda title: announced.append((title, list(host.applied))))
    assert announced == [("A", []), ("C", ["a"])]


async def test_a_second_walk_does_nothing(ctx: SetupContext, host: Host) -> None:
    await apply(ctx, steps=host.steps)
    host.applied.clear()
    await apply(ctx, steps=host.steps)
    assert host.applied == []


async def test_a_failure_holds_up_those_that_need_it_and_no_others(ctx: SetupContext, host: Host) -> None:
    host.failing.add("a")
    with pytest.raises(NotReadyError, match=r"a: a broke \(so not tried: b\)") as caught:
        await apply(ctx, steps=host.steps)
    assert host.applied == ["a", "c"]
    assert caught.value.remedy == "mend a"


async def test_all_failures_are_named(ctx: SetupContext, host: Host) -> None:
    host.failing |= {"a", "c"}
    with pytest.raises(NotReadyError, match=r"a broke.*c broke"):
        await apply(ctx, steps=host.steps)


async def test_naming_a_step_brings_what_it_needs(ctx: SetupContext, host: Host) -> None:
    await apply(ctx, ["b"], steps=host.steps)
    assert host.applied == ["a", "b"]


async def test_an_unknown_step_is_refused_with_the_known_ones(ctx: SetupContext, host: Host) -> None:
    with pytest.raises(NotFoundError) as caught:
        await apply(ctx, ["z"], steps=host.steps)
    assert "a, b, c" in caught.value.remedy
    assert host.applied == []


async def test_a_step_that_says_it_worked_and_did_not_is_a_failure(ctx: SetupContext) -> None:
    async def check(ctx: SetupContext) -> Finding:
        return Finding(False, "still missing")

    async def make(ctx: SetupContext, progress: Progress) -> None:
        pass

    with pytest.raises(NotReadyError, match="still missing"):
        await apply(ctx, steps=[Step("x", "X", "", check, make)])


async def test_a_check_that_fails_is_shown_and_does_not_stop_the_plan(ctx: SetupContext, host: Host) -> None:
    async def check(ctx: SetupContext) -> Finding:
        raise NotReadyError("dpkg is broken", remedy="mend dpkg")

    async def make(ctx: SetupContext, progress: Progress) -> None:
        pass

    shown = await plan(ctx, [Step("x", "X", "", check, make), *host.steps])
    assert (shown[0].done, shown[0].seen, shown[0].would) == (False, "dpkg is broken", ("mend dpkg",))
    assert len(shown) == 4


async def test_progress_runs_from_step_to_step_to_the_end(ctx: SetupContext, host: Host) -> None:
    fractions: list[float] = []

    def progress(line: str, fraction: float | None = None) -> None:
        if fraction is not None:
            fractions.append(fraction)

    await apply(ctx, progress=progress, steps=host.steps)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_every_shipped_step_comes_after_what_it_needs() -> None:
    ids = [step.id for step in STEPS]
    for index, step in enumerate(STEPS):
        assert set(step.needs) <= set(ids[:index])


async def test_a_skipped_step_is_not_applied_and_holds_nothing_up(ctx: SetupContext, host: Host) -> None:
    async def check(ctx: SetupContext) -> Finding:
        return Finding(False, "left out, as asked", skipped=True)

    async def make(ctx: SetupContext, progress: Progress) -> None:
        pytest.fail("it was to be skipped")

    lines: list[str] = []
    steps = (Step("a", "A", "", check, make), host.step("b", "a"))
    (shown, _) = await plan(ctx, steps)
    assert (shown.done, shown.skipped, shown.settled, shown.seen) == (False, True, True, "left out, as asked")
    await apply(ctx, steps=steps, progress=lambda line, fraction=None: lines.append(line))
    assert host.applied == ["b"]
    assert "A: skipped: left out, as asked" in lines


async def test_a_setup_with_a_failure_never_comes_to_its_end(ctx: SetupContext, host: Host) -> None:
    host.failing.add("b")
    fractions: list[float] = []

    def progress(line: str, fraction: float | None = None) -> None:
        if fraction is not None:
            fractions.append(fraction)

    with pytest.raises(NotReadyError):
        await apply(ctx, progress=progress, steps=host.steps)
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(2 / 3)


async def test_a_steps_own_progress_is_a_part_of_the_whole(ctx: SetupContext, host: Host) -> None:
    async def check(ctx: SetupContext) -> Finding:
        return Finding("x" in host.done, "")

    async def make(ctx: SetupContext, progress: Progress) -> None:
        progress("half", 0.5)
        host.done.add("x")

    told: dict[str, float | None] = {}
    steps = (host.step("a"), Step("x", "X", "", check, make))
    await apply(ctx, progress=lambda line, fraction=None: told.update({line: fraction}), steps=steps)
    assert told["half"] == pytest.approx(0.75)


async def test_a_step_with_a_proof_of_its_own_is_believed_by_that(ctx: SetupContext, host: Host) -> None:
    async def verify(ctx: SetupContext) -> Finding:
        return Finding(False, "it does not answer")

    step = replace(host.step("a"), verify=verify)
    with pytest.raises(NotReadyError, match="it does not answer"):
        await apply(ctx, steps=[step])
    assert host.applied == ["a"]


async def test_what_appears_in_a_steps_store_is_recorded_as_its_own(
    ctx: SetupContext, host: Host, ledger: Ledger
) -> None:
    store = ctx.settings.kernels_dir
    (store / "older").mkdir(parents=True)

    async def make(ctx: SetupContext, progress: Progress) -> None:
        (store / "newer").mkdir()
        (store / ".newer.building").mkdir()
        (store / "note").touch()
        host.done.add("a")

    await apply(ctx, steps=[replace(host.step("a"), apply=make, store=lambda settings: settings.kernels_dir)])
    assert [(trace.step, trace.what) for trace in ledger.traces()] == [("a", str(store / "newer"))]


async def test_the_service_itself_changes_nothing_of_the_host(
    ctx: SetupContext, host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cgroups = tmp_path / "cgroup"
    cgroups.write_text("0::/system.slice/vmdeck.service\n")
    monkeypatch.setattr(systemd, "CGROUPS", cgroups)
    with pytest.raises(NotReadyError, match="may not change the host") as caught:
        await apply(ctx, steps=[replace(host.step("a"), touches_system=True), host.step("b")])
    assert host.applied == ["b"]
    assert "systemctl stop vmdeck.service" in caught.value.remedy


@pytest.mark.parametrize("options", [{"kernel": "/k"}, {"firecracker": "/f.tgz"}, {"offline": "/d"}, {}])
async def test_the_service_follows_no_options_that_name_files(
    options: dict[str, str], context: MakeContext, host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cgroup").write_text("0::/system.slice/vmdeck.service\n")
    monkeypatch.setattr(systemd, "CGROUPS", tmp_path / "cgroup")
    ctx, steps = context(**options), [host.step("a")]
    with pytest.raises(NotReadyError, match="name files") if options else nullcontext():
        await apply(ctx, steps=steps)
    with pytest.raises(NotReadyError, match="name files") if options else nullcontext():
        await plan(ctx, steps=steps)
    assert host.applied == ([] if options else ["a"])


async def test_without_root_the_exact_command_is_named(ctx: SetupContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "is_root", lambda: False)
    monkeypatch.setattr(system.command, "find", lambda program: None if program == "mmdebstrap" else "/bin/true")
    with pytest.raises(NotReadyError) as caught:
        await system.apply_packages(ctx, lambda line, fraction=None: None)
    assert caught.value.remedy == f"Run: sudo {' '.join(system.INSTALL)} mmdebstrap"


async def test_lists_older_than_the_archive_are_updated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []

    async def as_root(argv: tuple[str, ...], progress: Progress) -> None:
        ran.append(argv)

    async def download() -> None:
        if not ran:
            raise NotReadyError("Debian packages could not be downloaded: 404  Not Found")

    monkeypatch.setattr(system, "is_root", lambda: True)
    monkeypatch.setattr(system, "as_root", as_root)
    await system.with_fresh_lists(download, lambda line, fraction=None: None)
    assert ran == [system.UPDATE]
