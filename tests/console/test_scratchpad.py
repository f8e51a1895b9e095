"""What an operator does in the scratchpad with runs, form, files and buffers, and what it must do then."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from console.live_run import Phase
from console.screens.confirm import ConfirmDialog
from console.widgets.code_editor import CodeEditor
from console.widgets.request_form import RequestForm
from console.widgets.stage_bar import StageBar
from engine.models import Limits, RunRequest, SourceFile
from tests.console.driving import console, driving
from tests.console.fake_engine import endless, flood, lost, typical
from tests.console.scratch_bench import in_scratchpad, outcome, run, scratchpad, typed


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
        typed(driven, "args").value = "one 'two words'"
        typed(driven, "stdin").load_text("a\nb\n")
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
        typed(driven, "args").value = "'open"
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
            await driven.until(lambda: outcome(driven).phase is Phase.ENDED)
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
        assert outcome(driven).busy
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


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Without the garbage collector: one pass over what thousands of tests have left takes half a second."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_a_flood_is_bounded_told_and_leaves_the_keys_alive() -> None:
    engine = typical()
    engine.script = flood
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        screen = scratchpad(driven)
        screen.action_run()
        screen.action_leave_field()
        await driven.until(lambda: screen.desk.outcome)
        gaps: list[float] = []
        while outcome(driven).phase is not Phase.ENDED:
            began = time.thread_time()  # a loaded machine stretches all but this
            await asyncio.sleep(0.01)
            gaps.append(time.thread_time() - began)
        assert len(gaps) > 5
        assert max(gaps) < sum(gaps) / 2
        await driven.sees("too much output")
        await driven.press("G")
        await driven.sees("the last line")
        assert len(outcome(driven).runs[0].log.lines) <= 2000
        assert "stdout cut at the limit" in driven.text
        await driven.press("g")
        await driven.sees("earlier lines are not kept here")


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
        await driven.press("escape", "x")
        await driven.until(lambda: editor.text.startswith(": hi"))
        await driven.press("i", "ctrl+z")
        await driven.until(lambda: editor.text == "mine")


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


# --- the form


async def test_every_field_of_the_form_is_in_the_request() -> None:
    engine = typical()
    async with in_scratchpad(engine) as driven:
        for field, text in (
            ("args", "one 'two words'"),
            ("stdin", "a\nb\n"),
            ("env", "A=1\nB=two words"),
            ("limits.timeout_s", "2.5"),
            ("limits.cpu_s", "1"),
            ("limits.memory_mib", "64"),
            ("limits.pids", "12"),
            ("limits.stdout_bytes", "1000"),
            ("limits.stderr_bytes", "2000"),
            ("limits.file_mib", "3"),
            ("limits.tmpfs_mib", "4"),
            ("memory_mib", "512"),
            ("vcpus", "2"),
        ):
            field_widget = typed(driven, field)
            if isinstance(field_widget, TextArea):
                field_widget.load_text(text)
            else:
                field_widget.value = text
        await driven.press("escape", "e")
        await driven.until(lambda: scratchpad(driven).form.has_focus_within)
        for _ in range(20):
            if driven.app.focused is typed(driven, "boot"):
                break
            await driven.press("tab")
        await driven.press("enter")
        await driven.sees("Boot mode")
        await driven.press(*"snapshot", "enter", "tab", "enter")
        await driven.sees("Snapshot of python")
        await driven.press(*"256m", "enter")
        await driven.press("ctrl+r")
        await driven.until(lambda: engine.requests)
    (request,) = engine.requests
    assert request.args == ("one", "two words")
    assert request.stdin == "a\nb\n"
    assert request.env == {"A": "1", "B": "two words"}
    assert request.limits == Limits(
        timeout_s=2.5,
        cpu_s=1,
        memory_mib=64,
        pids=12,
        stdout_bytes=1000,
        stderr_bytes=2000,
        file_mib=3,
        tmpfs_mib=4,
    )
    assert (request.memory_mib, request.vcpus, request.boot) == (512, 2, "snapshot")
    assert request.snapshot == "python-256m-1cpu"


WRONG = [
    ("args", "'open", "No closing quotation"),
    ("env", "A=1\nno value", "line 2 has no '='"),
    ("env", "1A=x", "'1A' is not a variable name"),
    ("limits.timeout_s", "soon", "must be a number"),
    ("limits.timeout_s", "0", "must be over 0"),
    ("limits.pids", "1.5", "must be a whole number"),
    ("memory_mib", "12", "must be at least 64"),
    ("vcpus", "99", "must be at most 32"),
]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_what_is_wrong_is_said_at_its_field_which_gets_the_keys(size: tuple[int, int]) -> None:
    engine = typical()
    async with in_scratchpad(engine, size) as driven:
        for field, text, words in WRONG:
            widget = typed(driven, field)
            before = entered(widget)
            enter(widget, text)
            await driven.press("ctrl+r")
            await driven.sees(words)
            await driven.until(lambda widget=widget: driven.app.focused is widget)
            enter(widget, before)
            await driven.press("escape", "i")
    assert engine.requests == []


def entered(widget: Input | TextArea) -> str:
    return widget.text if isinstance(widget, TextArea) else widget.value


def enter(widget: Input | TextArea, text: str) -> None:
    if isinstance(widget, TextArea):
        widget.load_text(text)
    else:
        widget.value = text


async def test_the_folded_form_says_in_the_head_what_it_holds_and_unfolds_in_place() -> None:
    async with in_scratchpad(typical()) as driven:
        form = scratchpad(driven).query_one(RequestForm)
        assert not form.display
        await driven.press("escape", "e", *"hello")
        await driven.until(lambda: form.display)
        await driven.sees("stdin 1 line")
        await driven.press("escape", "i")
        await driven.until(lambda: not form.display)
        assert driven.app.focused is scratchpad(driven).editor


# --- files


async def test_files_are_added_edited_renamed_shown_removed_and_sent() -> None:
    engine = typical()
    async with in_scratchpad(engine) as driven:
        await driven.press("escape", "f")
        await driven.sees("main.py, the code")
        await driven.press("n", *"../up", "enter")
        await driven.sees("relative path")
        await driven.press(*["backspace"] * 5, *"main.py", "enter")
        await driven.sees("the code's own place")
        await driven.press(*["backspace"] * 7, *"util.py", "enter")
        await driven.until(lambda: scratchpad(driven).desk.current.at == 1)
        await driven.press("i", *"x=1")
        assert scratchpad(driven).editor.language == "python"
        await driven.press("escape", "left_square_bracket")
        await driven.until(lambda: scratchpad(driven).editor.text.startswith("import platform"))
        await driven.press("f", "j", "r", *["backspace"] * 7, *"lib/util.py", "enter")
        await driven.sees("lib/util.py")
        await driven.press("escape")
        await driven.until(lambda: not driven.app.screen.is_modal)
        await run(driven)
        assert engine.requests[-1].files == (SourceFile(path="lib/util.py", content="x=1"),)
        await driven.press("f", "j", "D", "tab", "enter")
        await driven.until(lambda: len(driven.table.keys) == 1)
        await driven.press("escape")
        await driven.until(lambda: not driven.app.screen.is_modal)
        await run(driven)
    assert engine.requests[-1].files == ()


# --- buffers


async def test_buffers_are_opened_switched_listed_and_closed_each_with_its_outcome() -> None:
    engine = typical()
    async with in_scratchpad(engine) as driven:
        screen = scratchpad(driven)
        screen.editor.load_text("first")
        await run(driven)
        await driven.press("ctrl+n")
        await driven.sees("buffer 2 of 2")
        assert screen.editor.text == ""
        assert "success" not in driven.text
        await driven.press(*"second", "escape", "comma")
        await driven.until(lambda: screen.editor.text == "first")
        await driven.sees("success")
        await driven.press("o", *"second", "enter")
        await driven.until(lambda: screen.editor.text == "second")
        await driven.press("X")
        await driven.sees("Close this buffer?")
        await driven.press("enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert len(screen.desk.buffers) == 2
        await driven.press("X", "tab", "enter")
        await driven.until(lambda: screen.editor.text == "first")
        assert len(screen.desk.buffers) == 1


async def test_no_more_than_twenty_buffers_are_open_and_it_says_so() -> None:
    async with in_scratchpad(typical()) as driven:
        for _ in range(19):
            scratchpad(driven).action_new_buffer()
        await driven.sees("buffer 20 of 20")
        await driven.press("ctrl+n")
        await driven.sees("20 buffers are open.")


async def test_runs_of_two_buffers_go_on_at_once_and_are_cancelled_alone() -> None:
    engine = typical()
    engine.script = endless
    async with in_scratchpad(engine) as driven:
        screen = scratchpad(driven)
        screen.editor.load_text("one")
        await driven.press("ctrl+r")
        await driven.sees("tick 0")
        await driven.press("ctrl+n", *"two", "ctrl+r")
        await driven.until(lambda: len(engine.requests) == 2)
        await driven.sees("tick 0")
        await driven.press("ctrl+g")
        await driven.sees("cancelled")
        assert engine.ended_runs == 1
        await driven.press("escape", "comma")
        await driven.until(lambda: screen.editor.text == "one")
        assert outcome(driven).busy


async def test_buffers_come_back_with_cursor_files_and_form() -> None:
    async with in_scratchpad(typical()) as driven:
        screen = scratchpad(driven)
        screen.editor.load_text("alpha\nbeta\ngamma")
        screen.editor.move_cursor((1, 2))
        typed(driven, "args").value = "x y"
        typed(driven, "limits.pids").value = "7"
        await driven.pilot.pause()
        await driven.press("ctrl+n", *"other")
        await driven.press("escape", "comma")
        await driven.until(lambda: screen.editor.text.startswith("alpha"))
    async with in_scratchpad(typical()) as driven:
        screen = scratchpad(driven)
        assert [buffer.main.text for buffer in screen.desk.buffers] == ["alpha\nbeta\ngamma", "other"]
        await driven.until(lambda: screen.editor.text.startswith("alpha"))
        assert screen.editor.cursor_location == (1, 2)
        assert (typed(driven, "args").value, typed(driven, "limits.pids").value) == ("x y", "7")


async def test_a_second_console_neither_sees_nor_harms_the_buffers_of_the_first() -> None:
    async with in_scratchpad(typical()) as first:
        scratchpad(first).editor.load_text("of the first")
        scratchpad(first).changed()
        await scratchpad(first)._autosave.flush()
        async with in_scratchpad(typical()) as second:
            assert [buffer.main.text for buffer in scratchpad(second).desk.buffers] != ["of the first"]
            scratchpad(second).editor.load_text("of the second")
        assert scratchpad(first).editor.text == "of the first"
    async with in_scratchpad(typical()) as third:
        texts = {buffer.main.text for buffer in scratchpad(third).desk.buffers}
        assert texts == {"of the first", "of the second"}


async def test_a_broken_buffer_file_is_named_and_the_others_come_back(tmp_path: Path) -> None:
    async with in_scratchpad(typical()) as driven:
        scratchpad(driven).editor.load_text("whole")
    folder = tmp_path / "state" / "vmdeck" / "scratch" / "buffers"
    (folder / "0123456789ab.json").write_text("{half")
    async with in_scratchpad(typical(), (120, 36)) as driven:
        await driven.sees("0123456789ab.json is not used")
        assert scratchpad(driven).editor.text == "whole"
    assert (folder / "0123456789ab.json").read_text() == "{half"


async def test_a_state_folder_that_cannot_be_used_is_told_and_code_runs_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, no folder")
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.press("5")
        await driven.sees("The scratchpad can't be kept in")
        await driven.press("escape")
        await driven.until(lambda: not app.screen.is_modal)
        await driven.until(lambda: scratchpad(driven).languages)
        await run(driven)
        assert len(engine.requests) == 1


async def test_another_area_opens_a_request_in_a_buffer_of_its_own() -> None:
    engine = typical()
    request = RunRequest(
        language="bash",
        code="cat",
        args=("a b",),
        stdin="in",
        env={"A": "1"},
        files=(SourceFile(path="d/x", content="y"),),
        limits=Limits(pids=9),
        memory_mib=512,
        boot="cold",
    )
    async with driving(console(engine)) as driven:
        await driven.sees("degraded")
        driven.app.open_in_scratchpad(request)
        await driven.until(lambda: driven.app.current_mode == "scratchpad")
        await driven.sees("1  cat")
        await driven.sees("Bash")
        await run(driven)
    assert engine.requests == [request]


async def test_the_form_is_gone_back_to_with_the_key_that_opened_it_and_the_code_with_its_own() -> None:
    async with in_scratchpad(typical()) as driven:
        await driven.press("escape", "e")
        await driven.until(lambda: scratchpad(driven).form.has_focus_within)
        await driven.press("escape", "e")
        await driven.until(lambda: scratchpad(driven).form.has_focus_within)
        await driven.press("escape", "i")
        await driven.until(lambda: scratchpad(driven).editor.has_focus)


async def test_the_end_and_the_start_of_the_code_are_a_key_away() -> None:
    async with in_scratchpad(typical()) as driven:
        scratchpad(driven).editor.load_text("one\ntwo\nthree")
        await driven.press("ctrl+end")
        assert scratchpad(driven).editor.cursor_location == (2, 5)
        await driven.press("ctrl+home")
        assert scratchpad(driven).editor.cursor_location == (0, 0)


async def test_while_one_types_the_first_key_told_is_the_one_that_gives_the_keys_back() -> None:
    async with in_scratchpad(typical()) as driven:
        await driven.until(lambda: driven.text.splitlines()[-1].startswith(" esc Leave field"))
