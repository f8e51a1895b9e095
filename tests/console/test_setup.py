"""The setup wizard as an operator walks it: each stage, leaving and coming back, failures, wishes, read-only."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from console import connection
from console.app import ConsoleApp
from console.connection import ConnectionState
from console.screens.confirm import ConfirmDialog
from console.screens.languages_dialog import LanguagesDialog
from console.screens.setup import SetupScreen
from console.setup_stages import Stage
from engine.errors import NotReadyError
from engine.models import BuildLanguageRequest, Job, JobState, RunRequest, SetupOptions
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import lost
from tests.console.setup_samples import SetupHost, bare, half_done, ready

TICK_S = 0.05


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """Requests that the wizard handed to the scratchpad."""
    requests: list[RunRequest] = []

    def open_in_scratchpad(app: ConsoleApp, request: RunRequest) -> None:
        requests.append(request)
        app.switch_mode("scratchpad")

    monkeypatch.setattr(ConsoleApp, "open_in_scratchpad", open_in_scratchpad, raising=False)
    return requests


def wizard(driven: Driven) -> SetupScreen:
    screen = driven.app.screen
    assert isinstance(screen, SetupScreen)
    return screen


async def stage(driven: Driven, wanted: Stage) -> None:
    """Wait until the wizard shows a stage."""
    await driven.until(
        lambda: (
            isinstance(driven.app.screen, SetupScreen)
            and driven.app.screen._at is wanted
            and not driven.app.screen._walk.stale
        ),
        f"stage {wanted}",
    )


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


async def test_another_language_is_built_as_the_catalogue_has_it() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await driven.press("o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        assert driven.table.marked == ["python"]
        await driven.press("space", "slash", *"forth", "enter", "space", "enter")
        await driven.sees("gforth")
        await driven.press("enter")
        await driven.until(lambda: engine.built_languages)
        assert [built.language for built in engine.built_languages] == ["forth"]
        assert engine.asked == []


async def test_clearing_what_languages_are_filtered_by_empties_the_find_field_and_keeps_the_marks() -> None:
    async with driving(console(half_done(), tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await driven.press("o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        field = driven.app.screen.query_one(Input)
        await driven.press("slash", *"forth", "enter", "escape")
        await driven.until(lambda: not field.value)
        assert (driven.table.keys, driven.table.marked) == (["python", "bash", "forth"], ["python"])
        await driven.press("s")
        assert isinstance(driven.app.screen, LanguagesDialog)


async def test_several_languages_are_built_one_after_the_other_wherever_one_looks() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await driven.press("o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        driven.table.move_cursor("forth")
        await driven.press("space", "enter")
        await driven.sees("○ Python, ○ Forth")
        await driven.press("enter")
        await driven.until(lambda: engine.asked == [("image",)])
        assert engine.built_languages == []
        await driven.mode("1", "Degraded")
        engine.do("image")
        engine.end()
        await driven.until(lambda: [built.language for built in engine.built_languages] == ["forth"])
        await driven.mode("8", "✓ Python, ○ Forth")
        engine.done.add("forth")
        engine.end()
        await driven.sees("A first snapshot")


async def test_after_a_build_that_fails_no_other_is_begun_until_asked_for() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await driven.press("o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        driven.table.move_cursor("forth")
        await driven.press("space", "enter", "enter")
        await driven.until(lambda: engine.asked == [("image",)])
        engine.end(JobState.FAILED, "No room.", "Delete images.")
        await driven.sees("enter tries again")
        assert engine.built_languages == []
        await driven.press("enter")
        await driven.until(lambda: len(engine.asked) == 2)


async def two_images(driven: Driven, engine: SetupHost) -> None:
    """Begin the images of Python and Forth, and see that of Python begun."""
    await driven.mode("8", "A first image")
    await driven.press("o")
    await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
    driven.table.move_cursor("forth")
    await driven.press("space", "enter")
    await driven.sees("enter makes 2 images")
    await driven.press("enter")
    await driven.until(lambda: engine.asked == [("image",)])


async def test_a_later_build_that_is_refused_is_told_and_takes_no_keys_from_other_work() -> None:
    engine = half_done()

    async def refuse(request: BuildLanguageRequest) -> Job:
        raise NotReadyError("There is no room", remedy="Make some")

    engine.build_language = refuse  # type: ignore[method-assign]
    async with driving(console(engine, tick_s=TICK_S), (160, 40)) as driven:
        await two_images(driven, engine)
        await driven.mode("5", "runs the code")
        engine.do("image")
        engine.end()
        await driven.sees("The image of Forth was not begun")
        assert not driven.app.screen.is_modal
        assert driven.app.current_mode == "scratchpad"


async def test_of_a_series_what_has_become_ready_meanwhile_is_not_built_again() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await two_images(driven, engine)
        engine.do("image")
        engine.done.add("forth")
        engine.end()
        await stage(driven, Stage.SNAPSHOT)
        await driven.until(lambda: not wizard(driven)._series.waiting)
    assert engine.built_languages == []


async def test_several_images_are_told_with_what_they_take_together() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S), (120, 36)) as driven:
        await driven.mode("8", "A first image")
        await driven.press("o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        driven.table.move_cursor("forth")
        await driven.press("space", "enter")
        await driven.sees("build 2 images one after the other")
        await driven.sees("59 MiB on disk, built in 42 s; 1 of 2 measured")
        await driven.sees("python3, gforth")


async def test_another_s_image_that_failed_is_not_offered_to_be_tried_again_and_its_success_is_looked_at() -> None:
    engine = half_done()
    engine._job("image", "Build Forth")
    engine.end(JobState.FAILED, "No room.", "Delete images.")
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await driven.sees("enter makes it")
        assert "No room" not in driven.text
        engine._job("image", "Build image python")
        engine.done.add("image")
        engine.end()
        await driven.sees("The image is there.")


async def test_a_build_that_failed_is_not_tried_again_for_another_language() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await driven.press("enter")
        await driven.until(lambda: engine.asked == [("image",)])
        engine.do("image")
        engine.end()
        await stage(driven, Stage.SNAPSHOT)
        await driven.press("b", "o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        await driven.press("space")
        driven.table.move_cursor("forth")
        await driven.press("space", "enter")
        await driven.sees("enter makes it")
        await driven.press("enter")
        await driven.until(lambda: engine.built_languages)
        engine.end(JobState.FAILED, "No room.", "Delete images.")
        await driven.sees("enter tries again")
        engine.done.discard("image")
        await driven.press("o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        await driven.press("space")
        driven.table.move_cursor("python")
        await driven.press("space", "enter", "r")
        await driven.sees("enter makes it")
        assert "No room" not in driven.text


async def test_the_image_that_another_console_builds_for_the_same_language_is_followed() -> None:
    engine = half_done()
    engine._job("image", "Build Python")
    engine.log("said to the other console")
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "said to the other console")
        await driven.sees("it goes on in the engine")


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


@pytest.mark.parametrize("left_out", [Stage.IMAGE, Stage.SNAPSHOT])
async def test_another_language_s_image_and_snapshot_can_be_left_out_where_python_s_are_there(left_out: Stage) -> None:
    engine = ready()
    if left_out is Stage.SNAPSHOT:
        engine.done.add("forth")
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "Everything is ready.")
        await driven.press("o", *"forth", "enter")
        await driven.sees("Forth")
        await driven.press("b", "b") if left_out is Stage.IMAGE else await driven.press("b")
        await stage(driven, left_out)
        await driven.press("space")
        await driven.sees("left out: space takes it in again")
        await driven.press("space")
        await driven.sees("enter makes it")


async def test_a_snapshot_without_its_image_leads_to_image() -> None:
    async with driving(console(ready(), tick_s=TICK_S)) as driven:
        await driven.mode("8", "Everything is ready.")
        await driven.press("o", *"forth", "enter")
        await driven.sees("enter leads to its image")
        await driven.press("b")
        await stage(driven, Stage.SNAPSHOT)
        await driven.sees("It needs the image of Forth, which is not done: see Image.")
        await driven.press("enter")
        await stage(driven, Stage.IMAGE)


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
