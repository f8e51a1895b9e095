"""The setup wizard as an operator walks it: each stage, leaving and coming back, failures, wishes, read-only."""

from __future__ import annotations

import pytest

from console import connection
from console.app import ConsoleApp
from console.connection import ConnectionState
from console.screens.confirm import ConfirmDialog
from console.setup_stages import Stage
from engine.errors import NotReadyError
from engine.models import JobState, RunRequest, SetupOptions
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import lost
from tests.console.setup_driving import TICK_S, stage, wizard
from tests.console.setup_samples import bare, half_done, ready


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """Requests that the wizard handed to the scratchpad."""
    requests: list[RunRequest] = []

    def open_in_scratchpad(app: ConsoleApp, request: RunRequest) -> None:
        requests.append(request)
        app.switch_mode("scratchpad")

    monkeypatch.setattr(ConsoleApp, "open_in_scratchpad", open_in_scratchpad, raising=False)
    return requests


async def to_plan(driven: Driven) -> None:
    """From the start of a bare host to its plan."""
    await driven.sees("seen just now")
    await driven.press("enter", "enter")
    await stage(driven, Stage.PLAN)


async def agree(driven: Driven) -> None:
    """Answer a question with yes."""
    await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog))
    await driven.press("right", "enter")
    await driven.until(lambda: not driven.app.screen.is_modal)


async def test_a_host_on_which_nothing_runs_begins_with_its_setup_once() -> None:
    async with driving(console(bare(), tick_s=TICK_S)) as driven:
        await driven.until(lambda: driven.app.current_mode == "setup")
        await driven.sees("There is no guest kernel")
        await driven.press("1")
        await driven.sees("blocked")
        polls = driven.app.connection.api.calls.count("health(full)")
        await driven.press("r")
        await driven.until(lambda: driven.app.connection.api.calls.count("health(full)") > polls)
        assert driven.app.current_mode == "overview"


async def test_an_operator_who_chose_an_area_is_left_there() -> None:
    engine = bare()
    engine.stalled = True
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.until(lambda: engine.calls)
        await driven.press("2")
        engine.stalled = False
        engine.stall.set()
        await driven.sees("No VM is alive.")
        assert driven.app.current_mode == "vms"


async def test_a_ready_host_does_not_begin_with_setup() -> None:
    async with driving(console(ready(), tick_s=TICK_S)) as driven:
        await driven.sees("ok")
        assert driven.app.current_mode == "overview"


async def test_the_whole_walk_from_bare_to_the_scratchpad(opened: list[RunRequest]) -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("enter")
        await driven.sees("This changes the system: Host packages, Docker engine.")
        await agree(driven)
        await driven.sees("it goes on in the engine")
        assert engine.asked == [("packages", "docker", "kernel")]
        engine.do("packages", "docker", "kernel")
        engine.end()
        await stage(driven, Stage.IMAGE)
        await driven.sees("enter makes it")
        await driven.press("enter")
        await driven.until(lambda: engine.asked[-1] == ("image",))
        engine.do("image")
        engine.end()
        await stage(driven, Stage.SNAPSHOT)
        await driven.press("enter")
        await driven.until(lambda: engine.asked[-1] == ("snapshot",))
        engine.do("snapshot")
        engine.end()
        await stage(driven, Stage.FIRST_RUN)
        await driven.sees("Everything is ready.")
        await driven.press("enter")
        await driven.sees("success  exit 0")
        await driven.sees("Hello from Python 3.11.2 in a microVM")
        await driven.press("enter")
        await stage(driven, Stage.DONE)
        await driven.press("enter")
        await driven.until(lambda: driven.app.current_mode == "scratchpad")
    assert [(one.language, one.code) for one in opened] == [(engine.requests[0].language, engine.requests[0].code)]


async def test_nothing_is_applied_before_the_operator_agreed() -> None:
    engine = bare()
    async with driving(console(engine)) as driven:
        await to_plan(driven)
        for key in ("enter", "A"):
            await driven.press(key)
            await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog))
            await driven.press("enter")  # Cancel has the focus
            await driven.until(lambda: not driven.app.screen.is_modal)
    assert engine.applied == 0


async def test_the_plan_shows_why_and_the_exact_commands() -> None:
    async with driving(console(bare())) as driven:
        await to_plan(driven)
        await driven.sees("QEMU runs the microVMs")
        await driven.sees("apt-get -q install --yes qemu-system-x86 mmdebstrap")
        await driven.press("j")
        await driven.sees("systemctl enable --now docker")


async def test_a_step_of_the_engine_s_own_skips_is_left_out_by_option() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("j", "space")
        await driven.sees("- left out  Docker engine")
        await driven.until(lambda: engine.options_seen[-1] == SetupOptions(skip=("docker",)))
        await driven.press("enter")
        await agree(driven)
        await driven.until(lambda: engine.asked)
    assert engine.asked == [("packages", "kernel")]
    assert engine.options_seen[-1] == SetupOptions(skip=("docker",))


async def test_a_step_that_others_need_holds_them_up_when_it_is_left_out() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("space")
        await driven.sees("- left out  Host packages")
        await driven.sees("! held up   Image for Python")
        await driven.press("enter")
        await agree(driven)
        await driven.until(lambda: engine.asked)
        assert engine.asked == [("docker", "kernel")]
        engine.do("docker", "kernel")
        engine.end()
        await stage(driven, Stage.IMAGE)
        await driven.sees("It needs Host packages")
        await driven.press("b")  # the job can still be looked at
        await stage(driven, Stage.APPLY)


async def test_what_is_done_cannot_be_skipped_and_says_why() -> None:
    async with driving(console(bare())) as driven:
        await to_plan(driven)
        await driven.press("g", "space")
        await driven.sees("apt's package lists: apt knows")


async def test_options_change_the_plan_and_reach_the_job() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("o", *"qemu", "enter")
        await driven.sees("vmm qemu")
        await driven.until(lambda: engine.options_seen[-1] == SetupOptions(vmm="qemu"))
        await driven.sees("seen just now")
        await driven.press("A")
        await agree(driven)
        await driven.until(lambda: engine.asked)
    assert engine.options_seen[-1] == SetupOptions(vmm="qemu")


@pytest.mark.parametrize(
    ("tabs", "text", "said"),
    [(0, "xen", "must be 'auto'"), (2, "vmlinux", "a path starts with /"), (4, "./dir", "a path starts with /")],
)
async def test_options_that_make_no_sense_are_refused_with_the_reason(tabs: int, text: str, said: str) -> None:
    engine = bare()
    async with driving(console(engine)) as driven:
        await to_plan(driven)
        await driven.press("o", *["tab"] * tabs)
        keys = {".": "full_stop", "/": "slash"}
        await driven.press(*(keys.get(char, char) for char in text), "enter")
        await driven.sees(said)
        assert driven.app.screen.is_modal


async def test_a_failure_is_shown_with_its_remedy_and_can_be_tried_again() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("enter")
        await agree(driven)
        await driven.until(lambda: engine.asked)
        engine.do("docker", "kernel")
        engine.log("E: Unable to fetch some archives")
        engine.end(JobState.FAILED, "Setup failed at packages: apt-get ended with 100", "Look at the mirror")
        await driven.sees("enter tries again")
        await driven.sees("Look at the mirror")
        await driven.sees("E: Unable to fetch some archives")
        await driven.sees("✗ failed    Host packages")
        await driven.press("enter")
        await driven.sees("Host packages.")
        await agree(driven)
        await driven.until(lambda: engine.asked[-1] == ("packages",))
        engine.do("packages")
        engine.end()
        await stage(driven, Stage.IMAGE)


async def test_a_step_that_failed_can_be_skipped() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("enter")
        await agree(driven)
        await driven.until(lambda: engine.asked)
        engine.do("packages", "kernel")
        engine.end(JobState.FAILED, "Setup failed at docker: no", "Start one by other means")
        await driven.sees("✗ failed    Docker engine")
        await driven.press("space")
        await driven.sees("enter goes on")
        await driven.press("enter")
        await stage(driven, Stage.IMAGE)


async def test_the_log_can_have_all_the_room() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("enter")
        await agree(driven)
        await driven.until(lambda: engine.asked)
        for number in range(15):
            engine.log(f"line {number} of the log")
        await driven.sees("line 14 of the log")
        assert "line 0 of the log" not in driven.text
        await driven.press("l")
        await driven.sees("line 0 of the log")
        await driven.press("l")
        await driven.sees_no("line 0 of the log")


async def test_a_job_goes_on_when_the_wizard_is_left_and_is_there_again() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("enter")
        await agree(driven)
        await driven.until(lambda: engine.asked)
        engine.log("before it was left")
        await driven.sees("before it was left")
        await driven.mode("3", "Images")
        engine.do("packages", "docker")
        engine.log("meanwhile")
        await driven.mode("8", "meanwhile")
        assert driven.text.count("before it was left") == 1
        await driven.sees("✓ done      Host packages")
        engine.do("kernel")
        engine.end()
        await stage(driven, Stage.IMAGE)
    assert engine.cancelled_jobs == []


async def test_another_console_finds_the_job_of_the_first() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("enter")
        await agree(driven)
        await driven.until(lambda: engine.asked)
        engine.log("said to the first console")
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await stage(driven, Stage.APPLY)
        await driven.sees("said to the first console")
        engine.do("packages", "docker", "kernel")
        engine.end()
        await stage(driven, Stage.IMAGE)


async def test_a_job_is_cancelled_after_a_question_and_the_plan_is_still_there() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        await driven.press("enter")
        await agree(driven)
        await driven.until(lambda: engine.asked)
        await driven.sees("X cancels")
        await driven.press("X")
        await agree(driven)
        await driven.sees("cancelled")
        await driven.sees("enter asks, then applies 3 steps")
    assert engine.cancelled_jobs == [engine.job_list[-1].id]


async def test_the_snapshot_can_be_left_out() -> None:
    engine = half_done()
    engine.done.add("image")
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first snapshot")
        await driven.press("space")
        await driven.sees("left out")
        await driven.press("enter")
        await driven.sees("It can run, but starts cold.")
    assert engine.asked == []


async def test_a_first_run_that_fails_says_so_and_can_be_tried_again() -> None:
    engine = ready()
    engine.script = lost
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "Everything is ready.")
        await driven.press("enter")
        await driven.sees("The VMM ended by signal 9.")
        await driven.sees("enter runs the code")
        assert wizard(driven)._at is Stage.FIRST_RUN


async def test_undo_shows_what_goes_and_wants_a_word() -> None:
    engine = ready()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "Everything is ready.")
        await driven.press("U")
        await driven.sees("/var/lib/vmdeck/kernels/debian-6.1.0")
        await driven.press("enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        await driven.press("U")
        await driven.sees("qemu-system-x86")
        await driven.press("shift+tab", *"und", "enter")
        await driven.sees("Type the word undo")
        assert engine.undone == 0
        await driven.press("o", "enter")
        await driven.until(lambda: engine.undone == 1)
        await driven.sees("Undoing setup")
        engine.done.clear()
        engine.end()
        await stage(driven, Stage.PLAN)


async def test_read_only_looks_at_everything_and_applies_nothing() -> None:
    engine = bare()
    async with driving(console(engine, read_only=True, tick_s=TICK_S)) as driven:
        await driven.sees("nothing applied")
        await driven.press("enter", "enter")
        await stage(driven, Stage.PLAN)
        await driven.press("A", "space", "o", "U", "X")
        assert not driven.app.screen.is_modal
        for wanted in (Stage.IMAGE, Stage.SNAPSHOT, Stage.FIRST_RUN, Stage.DONE):
            await driven.press("enter")
            await stage(driven, wanted)
    assert (engine.applied, engine.requests) == (0, [])


async def test_while_the_host_is_looked_at_keys_work_and_old_results_stay() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        engine.stalled = True
        await driven.press("r")
        await driven.sees("looking at checks and steps")
        await driven.sees("Host packages")
        await driven.press("b")
        await stage(driven, Stage.CHECKS)
        engine.stalled = False
        engine.stall.set()
        await driven.sees("seen just now")
        assert wizard(driven)._at is Stage.CHECKS


async def test_a_look_that_fails_says_so_and_leaves_what_was_seen() -> None:
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        looks: list[str] = []

        async def broken(options: SetupOptions | None = None) -> None:
            looks.append("one")
            raise NotReadyError("dpkg is locked", remedy="Wait")

        engine.setup_steps = broken  # type: ignore[method-assign,assignment]
        await driven.press("r")
        await driven.sees("dpkg is locked")
        await driven.press("escape")
        await driven.sees("could not look, r looks again")
        assert "Host packages" in driven.text
        polls = engine.calls.count("jobs")
        await driven.until(lambda: engine.calls.count("jobs") > polls + 2)
        assert looks == ["one"]  # closing the dialog does not bring it back


@pytest.mark.parametrize("ends", ["silent", "refused"])
async def test_a_look_during_which_the_engine_is_lost_is_begun_anew_when_it_is_back(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RETRY_AFTER_S", (0.01,))
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        engine.stalled = True
        looks = engine.calls.count("setup_steps")
        await driven.press("r")
        await driven.until(lambda: engine.calls.count("setup_steps") > looks)
        if ends == "refused":
            engine.failing = NotReadyError("Nobody answers", remedy="Wait")
            engine.stall.set()
        engine.gone.set()
        await driven.until(lambda: driven.app.connection.state is ConnectionState.LOST)
        engine.done.add("packages")
        engine.stalled, engine.failing = False, None
        engine.gone.clear()
        await driven.sees("✓ done      Host packages")
        await driven.sees("seen just now")


async def test_enter_twice_makes_one_image() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        engine.stalled = True
        await driven.press("enter", "enter")
        await driven.sees("asking the engine")
        engine.stalled = False
        engine.stall.set()
        await driven.sees("it goes on in the engine")
        await driven.pilot.pause()
    assert engine.asked == [("image",)]


async def test_work_that_the_engine_refused_to_begin_can_be_asked_for_again() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        engine.failing = NotReadyError("There is no room", remedy="Make some")
        await driven.press("enter")
        await driven.sees("Make some")
        engine.failing = None
        await driven.press("escape")
        await driven.sees("enter makes it")
        await driven.press("enter")
        await driven.sees("it goes on in the engine")


async def test_a_role_that_changes_while_the_engine_was_away_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RETRY_AFTER_S", (0.01,))
    engine = bare()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await to_plan(driven)
        for role, offer in (("viewer", "enter goes on"), ("operator", "enter asks, then applies 3 steps")):
            engine.gone.set()
            await driven.until(lambda: driven.app.connection.state is ConnectionState.LOST)
            engine.identity = engine.identity.model_copy(update={"role": role})
            engine.gone.clear()
            await driven.sees(offer)


@pytest.mark.parametrize("where", [Stage.APPLY, Stage.IMAGE])
async def test_while_its_job_runs_a_stage_offers_only_what_can_be_done(where: Stage) -> None:
    engine = bare() if where is Stage.APPLY else half_done()
    async with driving(console(engine, tick_s=TICK_S), (120, 36)) as driven:
        if where is Stage.APPLY:
            await to_plan(driven)
            await driven.press("enter")
            await agree(driven)
        else:
            await driven.mode("8", "A first image")
            await driven.press("enter")
        await driven.sees("it goes on in the engine")
        bar = driven.text.splitlines()[-1]
        assert "X Cancel" in bar
        for title in ("enter Next", "A Apply", "space Skip", "o Options", "U Undo"):
            assert title not in bar
        wishes = wizard(driven)._walk.left_out
        await driven.press("space", "U", "o")
        assert wizard(driven)._walk.left_out == wishes
        await driven.press("X")
        await agree(driven)
        await driven.sees("enter Next")


async def test_the_trail_leads_to_a_stage_by_mouse() -> None:
    async with driving(console(bare())) as driven:
        await driven.sees("seen just now")
        await driven.pilot.click("WalkTrail", offset=(25, 0))
        await stage(driven, Stage.PLAN)


async def test_a_resize_keeps_the_stage() -> None:
    async with driving(console(bare())) as driven:
        await to_plan(driven)
        for size in ((200, 50), (61, 17), (40, 10), (80, 24)):
            await driven.pilot.resize_terminal(*size)
            await driven.pilot.pause()
        await driven.sees("○ to do     Host packages")


async def test_setup_of_the_overview_leads_here() -> None:
    async with driving(console(ready())) as driven:
        await driven.sees("ok")
        await driven.press("S")
        await driven.until(lambda: driven.app.current_mode == "setup")
