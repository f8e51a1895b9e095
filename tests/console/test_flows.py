"""What an operator does, and what the console must do then."""

from __future__ import annotations

import asyncio
import time

import pytest

from console.live_run import Phase
from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from console.screens.scratchpad import ScratchpadScreen
from console.widgets.code_editor import CodeEditor
from console.widgets.stage_bar import StageBar
from engine.errors import BusyError, InternalError, NotReadyError
from engine.models import JobState
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import endless, flood, lost, typical
from tests.console.samples import vm


def scratchpad(driven: Driven) -> ScratchpadScreen:
    screen = driven.app.screen
    assert isinstance(screen, ScratchpadScreen)
    return screen


async def test_a_run_shows_both_streams_status_timings_and_usage() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("✓ success  exit 0")
        assert " Hello from Python 3.11.2 in a microVM" in driven.output.text
        assert "err│ a warning on standard error" in driven.output.text
        assert "restore 412 ms" in driven.text
        assert "peak memory 9.1 MiB" in driven.text


async def test_the_request_is_what_the_fields_say() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        screen = scratchpad(driven)
        screen.query_one(CodeEditor).load_text("print(1)")
        screen.query_one("#args").value = "one 'two words'"
        screen.query_one("#stdin").load_text("a\nb\n")
        await driven.press("ctrl+r")
        await driven.sees("success")
    request = engine.requests[0]
    assert (request.language, request.code, request.args, request.stdin) == (
        "python",
        "print(1)",
        ("one", "two words"),
        "a\nb\n",
    )


async def test_arguments_that_make_no_shell_words_are_refused_with_the_reason() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        scratchpad(driven).query_one("#args").value = "'open"
        await driven.press("ctrl+r")
        await driven.sees("No closing quotation")
    assert engine.requests == []


async def test_cancel_ends_the_run_and_its_vm() -> None:
    engine = typical()
    engine.script = endless
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("tick 0")
        await driven.press("ctrl+g")
        await driven.sees("cancelled")
        assert engine.ended_runs == 1


async def test_a_run_can_be_run_again_after_its_end() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        for number in (1, 2):
            await driven.press("ctrl+r")
            await driven.until(lambda wanted=number: len(engine.requests) == wanted)
            await driven.until(lambda: scratchpad(driven).live.phase is Phase.ENDED)
        assert driven.output.text.count("Hello") == 1


async def test_a_run_goes_on_while_another_area_is_shown() -> None:
    engine = typical()
    engine.script = endless
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("tick 0")
        await driven.press("escape")
        await driven.mode("3", "node22")
        await driven.mode("5", "tick 0")
        assert scratchpad(driven).live.busy
        assert engine.ended_runs == 0


async def test_leaving_the_console_ends_a_run_after_a_question() -> None:
    engine = typical()
    engine.script = endless
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("tick 0")
        await driven.press("escape", "q")
        await driven.until(lambda: isinstance(app.screen, ConfirmDialog))
        await driven.press("tab", "enter")
    assert engine.ended_runs == 1
    assert engine.closed == 1


async def test_an_engine_error_in_a_run_is_shown_with_its_remedy() -> None:
    engine = typical()
    engine.script = lost
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("The VMM ended by signal 9.")
        assert "before" in driven.output.text
        assert "Look at the VM's log" in driven.output.text
        assert "Internal fault" in driven.text


async def test_a_flood_is_bounded_told_and_leaves_the_keys_alive() -> None:
    engine = typical()
    engine.script = flood
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        screen = scratchpad(driven)
        live = screen.live
        screen.action_run()
        screen.action_leave_field()
        gaps: list[float] = []
        while live.phase is not Phase.ENDED:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - began)
        assert len(gaps) > 5
        assert max(gaps) < sum(gaps) / 2  # relative, since a loaded machine stretches all of them
        await driven.sees("too much output")
        await driven.press("G")
        await driven.sees("the last line")
        assert len(live.log.lines) <= 2000
        assert "stdout cut at the limit" in driven.text
        await driven.press("g")
        await driven.sees("earlier lines are not kept here")


async def test_a_stalled_engine_is_named_and_leaves_the_keys_alive() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.sees("degraded")
        engine.stalled = True
        await driven.sees("no answer")
        await driven.press("2")
        await driven.until(lambda: driven.app.current_mode == "vms")
        await driven.press("question_mark")
        await driven.sees("Keys")
        await driven.press("escape")
        engine.stalled = False
        engine.stall.set()
        await driven.sees("vm-0a31")


async def test_a_failing_engine_is_shown_with_its_remedy_and_recovers_by_itself() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        engine.failing = BusyError("All places are taken.", retry_after_s=3)
        await driven.sees("All places are taken.")
        await driven.sees("Try again in 3 s.")
        assert "vm-0a31" in driven.text
        engine.failing = None
        await driven.sees_no("All places are taken.")


async def test_a_fault_of_ours_in_a_poll_is_shown_not_fatal() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        engine.vm_list = (None,)  # type: ignore[assignment]
        await driven.press("2")
        await driven.sees("AttributeError")
        engine.vm_list = (vm(0),)
        await driven.sees("vm-0a31")


async def test_an_engine_that_does_not_open_is_named_and_can_be_opened_again() -> None:
    engine = typical()
    engine.opening = NotReadyError("Another engine holds the data folder.", remedy="End process 4711.")
    async with driving(console(engine)) as driven:
        await driven.sees("Another engine holds the data folder.")
        await driven.sees("End process 4711.")
        engine.opening = None
        await driven.press("R")
        await driven.sees("degraded")


async def test_the_engine_is_closed_with_the_console() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.sees("degraded")
        assert (engine.opened, engine.closed) == (1, 0)
    assert engine.closed == 1


async def test_killing_a_vm_asks_first_with_cancel_focused() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("j", "K")
        await driven.sees("Kill VM vm-0a32?")
        await driven.press("enter")
        await driven.until(lambda: not app.screen.is_modal)
        assert engine.killed == []
        await driven.press("K", "tab", "enter")
        await driven.until(lambda: engine.killed == ["vm-0a32"])
        await driven.until(lambda: "vm-0a32" not in driven.table.keys)


async def test_a_kill_that_fails_says_why() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("2", "vm-0a31")
        engine.vm_list = ()
        await driven.press("K", "tab", "enter")
        await driven.sees("There is no VM vm-0a31.")
        assert isinstance(app.screen, DetailDialog)


async def test_cursor_and_filter_stay_while_rows_come_and_go() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("j", "j", "j")
        assert driven.table.cursor == "vm-0a34"
        engine.vm_list = tuple(reversed([vm(number) for number in range(8)]))
        await driven.until(lambda: len(driven.table.keys) == 8)
        assert driven.table.cursor == "vm-0a34"
        await driven.press("slash", *"python", "enter")
        await driven.until(lambda: driven.table.keys == ["vm-0a37", "vm-0a34", "vm-0a31"])
        engine.vm_list = tuple(vm(number) for number in range(10))
        await driven.until(lambda: driven.table.keys == ["vm-0a31", "vm-0a34", "vm-0a37", "vm-0a3a"])
        assert driven.table.cursor == "vm-0a34"
        await driven.press("escape")
        await driven.until(lambda: len(driven.table.keys) == 10)


async def test_hidden_areas_do_not_ask_the_engine() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.mode("3", "node22")
        engine.calls.clear()
        await driven.until(lambda: engine.calls.count("images") >= 5)
        assert "vms" not in engine.calls
        assert "metrics" not in engine.calls


async def test_the_next_question_waits_for_the_last_answer() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        engine.stalled = True
        await driven.until(lambda: driven.app.screen.status.engine.word.startswith("no answer"))
        asked = len(engine.calls)
        await driven.until(lambda: driven.app.screen.status.engine.word == "no answer 5 s")
        assert len(engine.calls) == asked


async def test_a_snapshot_is_made_from_the_form_and_shown_as_a_job() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("4", "python-256m-1cpu")
        await driven.press("n")
        await driven.sees("bash")
        await driven.press("tab", *"12", "enter")
        await driven.sees("greater than or equal to 64")
        await driven.press(*"8", "enter")
        await driven.until(lambda: app.current_mode == "jobs")
    assert [(one.language, one.memory_mib, one.vcpus) for one in engine.created] == [("bash", 128, None)]


async def test_a_job_is_cancelled_after_a_question() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode("6", "Set up this host")
        await driven.press("X", "tab", "enter")
        await driven.until(lambda: engine.cancelled_jobs == ["j3"])
        await driven.sees("cancelled")
        assert engine.job_list[0].state is JobState.CANCELLED


async def test_the_log_of_the_job_under_the_cursor_is_followed() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("6", "installing essential packages")
        await driven.press("j")
        await driven.sees("Delete images or snapshots that are not used.")


async def test_verifying_a_snapshot_shows_the_findings() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("4", "python-256m-1cpu")
        await driven.press("v")
        await driven.sees("memory: digest differs from the manifest")


@pytest.mark.parametrize(("digit", "sign", "name"), [("3", "node22", "python"), ("4", "fits", "python-256m-1cpu")])
async def test_deleting_asks_first(digit: str, sign: str, name: str) -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode(digit, sign)
        await driven.press("D", "enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert engine.removed == []
        await driven.press("D", "tab", "enter")
        await driven.until(lambda: engine.removed == [name])


async def test_read_only_changes_nothing() -> None:
    engine = typical()
    app = console(engine, read_only=True)
    async with driving(app) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("K")
        assert not app.screen.is_modal
        await driven.mode("3", "node22")
        await driven.press("D")
        assert not app.screen.is_modal
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.pilot.pause()
        assert engine.requests == []


async def test_typed_digits_and_letters_stay_in_the_editor() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("5", "Python")
        editor = scratchpad(driven).query_one(CodeEditor)
        editor.load_text("")
        typed = "1 2 q ? : / T r R S m"
        await driven.press(
            *({" ": "space", "?": "question_mark", ":": "colon", "/": "slash"}.get(char, char) for char in typed)
        )
        assert editor.text == typed
        assert driven.app.current_mode == "scratchpad"
        await driven.press("escape", "2")
        await driven.until(lambda: driven.app.current_mode == "vms")


async def test_function_keys_change_areas_even_while_typing() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("5", "Python")
        await driven.press("f3")
        await driven.until(lambda: driven.app.current_mode == "jobs")
        await driven.press("f2", "f2")
        await driven.until(lambda: driven.app.current_mode == "snapshots")


async def test_choosing_a_language_brings_its_example_only_into_untouched_code() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("5", "Python")
        editor = scratchpad(driven).query_one(CodeEditor)
        await driven.press("ctrl+t", *"bash", "enter")
        await driven.until(lambda: "BASH_VERSION" in editor.text)
        assert editor.language == "bash"
        editor.load_text("mine")
        await driven.press("ctrl+t", *"forth", "enter")
        await driven.sees("Forth")
        assert editor.text == "mine"
        assert editor.language is None
        await driven.press("ctrl+n")
        await driven.until(lambda: editor.text.startswith(": hi"))
        await driven.press("ctrl+z")
        await driven.until(lambda: editor.text == "mine")


async def test_the_palette_reaches_an_action_by_its_name() -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        await driven.press("colon", *"scratch", "enter")
        await driven.until(lambda: driven.app.current_mode == "scratchpad")


async def test_a_result_keeps_its_numbers_after_a_resize() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("success")
        for size in ((200, 50), (61, 17), (40, 10), (80, 24)):
            await driven.pilot.resize_terminal(*size)
            await driven.pilot.pause()
        assert scratchpad(driven).query_one(StageBar).result is not None
        await driven.sees("restore 412 ms")
        assert "Hello from Python" in driven.output.text


async def test_a_terminal_too_small_says_what_is_needed() -> None:
    async with driving(console(typical()), (59, 24)) as driven:
        await driven.sees("vmdeck needs 60 x 16")
        await driven.pilot.resize_terminal(60, 16)
        await driven.sees_no("vmdeck needs")


@pytest.mark.parametrize("key", ["enter", "escape", "q"])
async def test_a_dialog_closes_with_one_key_and_leaves_nothing_behind(key: str) -> None:
    app = console(typical())
    async with driving(app) as driven:
        await driven.sees("7 ok")
        await driven.press("enter")
        await driven.until(lambda: isinstance(app.screen, DetailDialog))
        await driven.press(key)
        await driven.until(lambda: len(app.screen_stack) == 1)


async def test_five_hundred_vms_are_shown_and_walked() -> None:
    engine = typical()
    engine.vm_list = tuple(vm(number) for number in range(500))
    async with driving(console(engine)) as driven:
        await driven.mode("2", "500 VMs")
        await driven.press("G")
        await driven.until(lambda: driven.table.cursor == f"vm-{0x0A31 + 499:04x}")
        await driven.sees(driven.table.cursor or "")


async def test_an_internal_error_of_an_asked_call_is_a_dialog_not_a_crash() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("4", "python-256m-1cpu")
        engine.failing = InternalError("The disk said no.", remedy="Look at the log.")
        await driven.press("v")
        await driven.sees("The disk said no.")
        await driven.sees("Look at the log.")
        await driven.press("escape")
        await driven.until(lambda: not app.screen.is_modal)


async def test_closing_does_not_wait_for_an_opening_that_hangs() -> None:
    engine = typical()
    app = console(engine)
    hang = asyncio.Event()

    class Hanging:
        async def __aenter__(self):
            await hang.wait()

        async def __aexit__(self, *_):
            return None

    app.connection._factory = Hanging  # type: ignore[assignment]
    async with driving(app) as driven:
        await driven.sees("starting")
    assert await app.connection.close(1.0)


async def test_checks_can_be_filtered_and_shown_again() -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("7 ok")
        await driven.press("slash", *"snapshot", "enter")
        await driven.sees("1 of 10 match 'snapshot'")
        assert driven.table.keys == ["snapshot.python"]
        await driven.press("escape")
        await driven.sees("7 ok")


async def test_output_that_is_scrolled_up_stays_and_says_what_is_below() -> None:
    engine = typical()
    engine.job_list = engine.job_list[:1]
    engine.job_lines = tuple(f"line {number}" for number in range(200))
    async with driving(console(engine)) as driven:
        await driven.mode("6", "line 199")
        driven.output.focus()
        await driven.press("g")
        await driven.sees("lines below, G follows")
        assert not driven.output.following
        await driven.press("G")
        await driven.sees("line 199")
        assert driven.output.following
