"""What the first look tells and does: the verdict, work and failures, and mending what a check found."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from engine.errors import InternalError
from engine.models import Check, Health, HostSample, Severity
from tests.console.driving import console, driving
from tests.console.fake_engine import VIEWER, FakeEngine, busy, empty, typical
from tests.console.samples import CHECKS, JOBS
from tests.console.vms_samples import STATS, host_samples


async def test_everything_that_matters_is_seen_at_once_in_a_small_terminal() -> None:
    async with driving(console(busy())) as driven:
        await driven.sees("2 degraded, 1 info, 7 ok")
        await driven.sees("✗ timeout")
        for sign in (
            "! Degraded  KVM executes guest code: by emulation",
            "VMM  qemu 7.2.22 with tcg  because KVM is there",
            "CPU     62 %",
            "Running 2 of 2",
            "Queued  0",
            "2.1/min  p50 460 ms  p95 1.21 s  7 of 128 failed",
            "● Set up this host 57 %",
        ):
            assert sign in driven.text


async def test_gauges_have_their_history_when_the_console_opens() -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("CPU     62 %")
        row = next(line for line in driven.text.splitlines() if "CPU     62 %" in line)
        assert len(set(row) & set("▁▂▃▄▅▆▇█")) > 2


async def test_only_new_samples_are_asked_for_unless_some_were_missed() -> None:
    engine = typical()
    asked: list[int] = []
    answer = engine.samples

    async def samples(*, last: int = 240):
        asked.append(last)
        return await answer(last=last)

    engine.samples = samples
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.until(lambda: len(asked) > 2)
        assert asked[0] == 240
        assert set(asked[1:]) == {8}
        hour = timedelta(hours=1)
        metrics = [one.metrics.model_copy(update={"at": one.metrics.at + hour}) for one in host_samples()]
        later = [HostSample(metrics=one, running=0, queued=0) for one in metrics]
        engine.sample_list = tuple(later)
        await driven.until(lambda: asked.count(240) == 2)


async def test_a_viewer_is_told_what_is_the_operators_only_and_sees_the_rest() -> None:
    engine = busy()
    engine.identity = VIEWER
    async with driving(console(engine), (120, 36)) as driven:  # where the note on what a viewer is hides none of it
        await driven.sees("7 ok")
        await driven.sees("the operator's only")
        assert "runs" not in engine.calls
        assert "CPU     62 %" in driven.text
        assert "Not allowed" not in driven.text


async def test_a_part_that_fails_is_named_and_leaves_the_others() -> None:
    engine = busy()

    async def run_stats(*, window_s: float = 3600):
        raise InternalError("The history can't be read.", remedy="Look at its disk.")

    engine.run_stats = run_stats
    async with driving(console(engine)) as driven:
        await driven.sees("The history can't be read.")
        await driven.sees("7 ok")
        assert "CPU     62 %" in driven.text
        assert "✗ timeout" in driven.text


async def test_slow_checks_do_not_keep_the_gauges_waiting() -> None:
    engine = busy()
    answer, waits = engine.health, asyncio.Event()

    async def health(*, full: bool = False):
        if full:
            await waits.wait()
        return await answer(full=full)

    engine.health = health
    async with driving(console(engine)) as driven:
        await driven.sees("CPU     62 %")
        await driven.sees("✗ timeout")
        assert "looking at the host …" in driven.text
        waits.set()
        await driven.sees("7 ok")


async def test_a_quiet_host_says_so_in_words() -> None:
    engine = FakeEngine(checks=CHECKS[3:], sample_list=host_samples())
    async with driving(console(engine)) as driven:
        await driven.sees("✓ Ready")
        await driven.sees("Runs     none in 60 min")
        await driven.sees("Jobs     none running")
        await driven.sees("Failed   none")


async def test_more_jobs_than_one_are_counted() -> None:
    engine = busy()
    engine.job_list = (JOBS[0], JOBS[0].model_copy(update={"id": "j4", "title": "Another"}))
    async with driving(console(engine)) as driven:
        await driven.sees("● Set up this host 57 % and 1 more")


def fixable(engine: FakeEngine) -> Check:
    return next(check for check in engine.checks if check.fixed_by and check.severity is not Severity.OK)


async def test_fix_says_what_setup_would_do_and_does_only_that_once_agreed() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.sees("7 ok")
        await driven.press("j", "f")
        await driven.until(lambda: isinstance(app.screen, ConfirmDialog))
        await driven.sees(f"Fix {fixable(engine).title}?")
        await driven.sees("boot the image python with 256 MiB and 1 vCPU")
        await driven.press("enter")
        await driven.until(lambda: not app.screen.is_modal)
        assert engine.applied_steps == []
        await driven.press("f")
        await driven.until(lambda: isinstance(app.screen, ConfirmDialog))
        await driven.press("tab", "enter")
        await driven.until(lambda: app.current_mode == "jobs")
        assert engine.applied_steps == [["snapshot"]]


async def test_what_setup_cannot_mend_has_no_fix() -> None:
    app = console(typical())
    async with driving(app) as driven:
        await driven.sees("7 ok")
        await driven.press("f")
        await driven.pilot.pause()
        assert not app.screen.is_modal
        assert app.screen.check_action("fix", ()) is None


async def test_fix_is_refused_in_read_only_mode() -> None:
    engine = empty()
    app = console(engine, read_only=True)
    async with driving(app) as driven:
        await driven.until(lambda: app.current_mode == "setup")  # to which a host that is blocked leads
        await driven.mode("1", "blocked,")
        await driven.press("f")
        await driven.pilot.pause()
        assert not app.screen.is_modal


async def test_a_check_is_shown_with_its_remedy() -> None:
    app = console(typical())
    async with driving(app) as driven:
        await driven.sees("7 ok")
        await driven.press("enter")
        await driven.until(lambda: isinstance(app.screen, DetailDialog))
        await driven.sees("Use a metal instance")


async def test_checks_can_be_filtered_and_shown_again() -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("7 ok")
        await driven.press("slash", *"snapshot", "enter")
        await driven.sees("1 of 10 match 'snapshot'")
        assert driven.table.keys == ["snapshot.python"]
        await driven.press("escape")
        await driven.sees("7 ok")


class QuickAnswers(FakeEngine):
    """As the real one: without the host's checks, health is no more than whether runs can start."""

    async def health(self, *, full: bool = False) -> Health:
        health = await super().health(full=full)
        return health if full else health.model_copy(update={"status": "ok"})


async def test_what_the_checks_found_counts_until_they_are_asked_again() -> None:
    engine = QuickAnswers(checks=CHECKS)
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.sees("! Degraded")
        await driven.until(lambda: engine.calls.count("health") > 3)
        assert "! Degraded" in driven.text
        await driven.mode("7", "Runs")
        asked = engine.calls.count("health")
        await driven.until(lambda: engine.calls.count("health") > asked + 1)
        assert "! degraded" in driven.text.splitlines()[0]


async def test_closing_a_dialog_asks_for_no_checks_that_are_not_due() -> None:
    engine = busy()
    app = console(engine, tick_s=0.05)
    async with driving(app) as driven:
        await driven.sees("7 ok")
        await driven.press("enter")
        await driven.until(lambda: isinstance(app.screen, DetailDialog))
        asked, beats = engine.calls.count("health(full)"), engine.calls.count("health")
        await driven.press("escape")
        await driven.until(lambda: engine.calls.count("health") > beats + 2)
        assert engine.calls.count("health(full)") == asked


async def test_the_first_sample_of_an_engine_that_has_just_opened_is_asked_for_soon() -> None:
    engine = busy()
    samples, engine.sample_list = engine.sample_list, ()
    async with driving(console(engine)) as driven:  # whose tick never comes
        await driven.sees("reading")
        engine.sample_list = samples
        await driven.sees("CPU     62 %")


async def test_a_rate_that_is_next_to_nothing_is_not_told_as_nothing() -> None:
    engine = busy()
    engine.stats = STATS.model_copy(update={"runs": 2, "failed": 0, "per_minute": 0.03})
    async with driving(console(engine)) as driven:
        await driven.sees("under 0.1/min")
