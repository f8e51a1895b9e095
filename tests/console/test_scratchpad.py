"""What an operator does in the scratchpad, and what it must do then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input, TextArea

from console.live_run import Phase
from console.outcome import Outcome
from console.screens.confirm import ConfirmDialog
from console.screens.scratchpad import ScratchpadScreen
from console.widgets.code_editor import MAX_CHARS, CodeEditor
from console.widgets.diff_view import DiffView
from console.widgets.request_form import RequestForm
from console.widgets.stage_bar import StageBar
from engine.errors import NotReadyError
from engine.models import Limits, RunEvent, RunRequest, SourceFile
from tests.console.driving import Driven, console, driving
from tests.console.evil import EVIL
from tests.console.fake_engine import FakeEngine, endless, flood, lost, typical
from tests.console.samples import result
from tests.console.test_evil_text import harmless


def scratchpad(driven: Driven) -> ScratchpadScreen:
    screen = driven.app.screen
    assert isinstance(screen, ScratchpadScreen)
    return screen


def typed(driven: Driven, field: str) -> Input | TextArea:
    """A field of the form by its name."""
    return next(one for one in driven.app.screen.query("Input, TextArea") if one.name == field)


def outcome(driven: Driven) -> Outcome:
    found = scratchpad(driven).desk.outcome
    assert found is not None
    return found


@asynccontextmanager
async def in_scratchpad(engine: FakeEngine, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driven]:
    """A console that shows the scratchpad with its buffers and languages there."""
    app = console(engine)
    copied: list[tuple[str, str]] = []
    app.copy = lambda text, what: copied.append((text, what))
    app.copied = copied
    async with driving(app, size) as driven:
        await driven.mode("5", "^t")
        await driven.until(lambda: scratchpad(driven).languages, "languages")
        await driven.until(lambda: scratchpad(driven)._restored.is_set(), "buffers of earlier")
        yield driven


async def run(driven: Driven) -> None:
    """Run what is in the buffer, to its end."""
    before = scratchpad(driven).desk.outcome
    await driven.press("ctrl+r")
    await driven.until(lambda: scratchpad(driven).desk.outcome is not before, "a run")
    await driven.until(lambda: outcome(driven).phase is Phase.ENDED, "its end")
    await driven.pilot.pause()


async def echo(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
    """Prints its code and input; each item of a batch is a run; cold boots take longer; ``fail`` as input fails."""
    stdins = request.stdin if isinstance(request.stdin, tuple) else (request.stdin or "",)
    for item, stdin in enumerate(stdins):
        yield RunEvent(kind="stage", trace_id="r-1", at_ms=1, text="running", vm_id="vm-1", item=item)
        yield RunEvent(kind="stdout", trace_id="r-1", at_ms=2, text=f"{request.code} got {stdin!r}\n", item=item)
        failed = stdin.strip() == "fail"
        done = result(
            status="failed" if failed else "success",
            exit_code=3 if failed else 0,
            boot="cold" if request.boot == "cold" else "snapshot",
            timings={"queue": 1, "restore": 4100 if request.boot == "cold" else 120, "exec": 30, "total": 4200},
        )
        yield RunEvent(kind="result", trace_id="r-1", at_ms=3, result=done, item=item)


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
            began = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - began)
        assert len(gaps) > 5
        assert max(gaps) < sum(gaps) / 2  # relative, since a loaded machine stretches all of them
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
            if getattr(driven.app.focused, "name", "") == "boot":
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


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("args", "'open", "No closing quotation"),
        ("env", "A=1\nno value", "line 2 has no '='"),
        ("env", "1A=x", "'1A' is not a variable name"),
        ("limits.timeout_s", "soon", "must be a number"),
        ("limits.timeout_s", "0", "must be over 0"),
        ("limits.pids", "1.5", "must be a whole number"),
        ("memory_mib", "12", "must be at least 64"),
        ("vcpus", "99", "must be at most 32"),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_what_is_wrong_is_said_at_its_field_which_gets_the_keys(
    field: str, text: str, words: str, size: tuple[int, int]
) -> None:
    engine = typical()
    async with in_scratchpad(engine, size) as driven:
        widget = typed(driven, field)
        if isinstance(widget, TextArea):
            widget.load_text(text)
        else:
            widget.value = text
        await driven.press("ctrl+r")
        await driven.sees(words)
        await driven.until(lambda: getattr(driven.app.focused, "name", "") == field)
    assert engine.requests == []


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


# --- history


async def test_history_finds_reopens_and_deletes() -> None:
    engine = typical()
    engine.script = echo
    async with in_scratchpad(engine) as driven:
        screen = scratchpad(driven)
        for code in ("alpha", "beta", "gamma"):
            screen.editor.load_text(code)
            await run(driven)
        await driven.until(lambda: len(screen.past.find().entries) == 3)
        await driven.press("escape", "h")
        await driven.sees("3 entries")
        await driven.press("slash", *"beta got")
        await driven.until(lambda: len(driven.table.keys) == 1)
        await driven.press("enter", "enter")
        await driven.until(lambda: screen.editor.text == "beta")
        await driven.sees("beta got ''")
        await driven.sees("✓ success  exit 0")
        await driven.press("escape", "h")
        await driven.sees("3 entries")
        await driven.press("D", "enter")
        await driven.sees("3 entries")
        await driven.press("D", "tab", "enter")
        await driven.sees("2 entries")
        await driven.press("C", "tab", "enter")
        await driven.sees("Nothing was run yet.")
    assert screen.past.find().entries == ()


async def test_two_results_are_compared_by_figures_and_lines() -> None:
    engine = typical()
    engine.script = echo
    async with in_scratchpad(engine, (120, 36)) as driven:
        screen = scratchpad(driven)
        for code in ("old", "new"):
            screen.editor.load_text(code)
            await run(driven)
        await driven.until(lambda: len(screen.past.find().entries) == 2)
        await driven.press("escape", "h")
        await driven.sees("2 entries")
        await driven.press("v", "j", "v", "d")
        await driven.sees("they differ")
        view = driven.app.screen.query_one(DiffView)
        signs = {line[0]: line[1:] for line in view.text.split("\n") if "got" in line}
        assert set(signs) == {"+", "-"}
        assert {"old got ''", "new got ''"} == set(signs.values())
        await driven.sees("peak memory")


async def test_history_can_be_turned_off(own_config: Path, tmp_path: Path) -> None:
    (own_config / "console.toml").write_text("scratch_history = false\n")
    async with in_scratchpad(typical(), (120, 36)) as driven:
        await run(driven)
        await driven.press("escape", "h")
        await driven.sees("scratch_history = false")
        await driven.sees("Nothing was run yet.")
    assert not (tmp_path / "state" / "vmdeck" / "scratch" / "history").exists()


async def test_choosing_a_theme_leaves_other_preferences(own_config: Path) -> None:
    (own_config / "console.toml").write_text("scratch_history = false\n")
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        await driven.press("T", *"vmdeck-light", "enter")
        await driven.until(lambda: "vmdeck-light" in (own_config / "console.toml").read_text())
    assert "scratch_history = false" in (own_config / "console.toml").read_text()


async def test_cancelled_and_failed_runs_are_in_history_too() -> None:
    engine = typical()
    engine.script = endless
    async with in_scratchpad(engine) as driven:
        screen = scratchpad(driven)
        await driven.press("ctrl+r")
        await driven.sees("tick 0")
        await driven.press("ctrl+g")
        await driven.until(lambda: screen.past.find("cancelled").entries)
        engine.script = lost
        await run(driven)
        await driven.until(lambda: screen.past.find("signal 9").entries)


# --- comparing and batches


async def test_boot_modes_are_compared_one_after_the_other_in_one_table() -> None:
    engine = typical()
    engine.script = echo
    async with in_scratchpad(engine) as driven:
        scratchpad(driven).form.pick("snapshot", "python-256m-1cpu")
        await driven.press("escape", "c")
        await driven.sees("2 of 2 with success")
        assert "same" in driven.text
        assert "4.10 s" in driven.text
        assert "120 ms" in driven.text
        await driven.press("j", "enter")
        await driven.sees("Output of snapshot")
    assert [(one.boot, one.snapshot) for one in engine.requests] == [("cold", None), ("snapshot", "python-256m-1cpu")]


async def test_a_comparison_shows_a_mode_that_fails_and_outputs_that_differ() -> None:
    async def script(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
        if request.boot == "snapshot":
            raise NotReadyError("No snapshot fits.", remedy="Make one.")
        async for event in echo(engine, request):
            yield event

    engine = typical()
    engine.script = script
    async with in_scratchpad(engine, (120, 36)) as driven:
        await driven.press("escape", "c")
        await driven.sees("1 of 2 with success")
        await driven.sees("This host is not ready")
        await driven.press("j", "enter")
        await driven.sees("No snapshot fits.")


async def test_a_batch_runs_once_per_input_and_shows_each_result() -> None:
    engine = typical()
    engine.script = echo
    async with in_scratchpad(engine) as driven:
        scratchpad(driven).editor.load_text("code")
        await driven.press("escape", "b")
        await driven.sees("Batch: one run for each input")
        await driven.press("enter", *"one", "enter", *"fail", "enter", *"three", "escape", "L")
        await driven.sees("3 inputs")
        await driven.press("n", *"four", "ctrl+r")
        await driven.sees("3 of 4 with success")
        assert driven.text.count("✓ success") == 3
        assert "✗ failed" in driven.text
        await driven.press("j", "enter")
        await driven.sees("Output of 2")
        await driven.sees("code got 'fail")
    assert engine.requests[0].stdin == ("one\n", "fail\n", "three", "four")


async def test_an_ordinary_run_takes_the_input_that_is_shown() -> None:
    engine = typical()
    async with in_scratchpad(engine) as driven:
        await driven.press("escape", "b", "enter", *"one", "escape", "n", *"two", "escape", "k", "escape")
        await driven.until(lambda: not driven.app.screen.is_modal)
        await driven.sees("2 stdins")
        await run(driven)
    assert engine.requests[0].stdin == "one"


# --- copying, opening, saving


async def test_code_output_and_lines_can_be_copied() -> None:
    engine = typical()
    engine.script = echo
    engine.service_state = engine.service_state.model_copy(update={"addresses": ("unix:/run/v d/engine.sock",)})
    async with in_scratchpad(engine) as driven:
        scratchpad(driven).editor.load_text("print('it')")
        await run(driven)
        await driven.press("escape")
        copied = driven.app.copied
        for number, word in enumerate(("code", "output", "curl", "cli"), 1):
            await driven.press("y")
            await driven.sees("Copy")
            await driven.press(*word, "enter")
            await driven.until(lambda wanted=number: len(copied) == wanted)
            await driven.until(lambda: not driven.app.screen.is_modal)
    assert copied[0] == ("print('it')", "code")
    assert copied[1] == ("print('it') got ''\n", "output")
    assert copied[2][0].startswith("curl -sS --unix-socket '/run/v d/engine.sock'")
    assert copied[3][0].startswith("vmdeck host --lang=python")


async def test_a_file_is_opened_in_a_new_buffer_and_saved_without_harm(tmp_path: Path) -> None:
    (tmp_path / "hello.sh").write_text("echo hi\n")
    target = tmp_path / "out.sh"
    target.write_text("precious")
    async with in_scratchpad(typical()) as driven:
        screen = scratchpad(driven)
        await driven.press("ctrl+o")
        await driven.sees("Open file")
        driven.app.screen.query_one(Input).value = str(tmp_path / "hello.sh")
        await driven.press("enter")
        await driven.until(lambda: screen.editor.text == "echo hi\n")
        await driven.sees("Bash")
        for answer, content in ((("enter",), "precious"), (("tab", "enter"), "echo hi\n")):
            await driven.press("ctrl+s")
            await driven.sees("Save file")
            driven.app.screen.query_one(Input).value = str(target)
            await driven.press("enter")
            await driven.sees("Replace the file?")
            await driven.press(*answer)
            await driven.until(lambda wanted=content: target.read_text() == wanted)
            await driven.until(lambda: not driven.app.screen.is_modal)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"x" * (1024 * 1024 + 1)], ids=["none", "binary", "large"])
async def test_what_is_no_text_file_is_refused_with_the_reason(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    async with in_scratchpad(typical(), (120, 36)) as driven:
        before = scratchpad(driven).editor.text
        await driven.press("ctrl+o")
        await driven.sees("Open file")
        driven.app.screen.query_one(Input).value = str(path)
        await driven.press("enter")
        await driven.sees("Remedy")
        await driven.press("escape")
        await driven.until(lambda: not driven.app.screen.is_modal)
        assert scratchpad(driven).editor.text == before


# --- the editor


async def test_a_big_paste_is_taken_without_highlighting_and_a_huge_one_refused() -> None:
    async with in_scratchpad(typical()) as driven:
        editor = scratchpad(driven).editor
        editor.load_text("")
        editor.use_syntax("python")
        assert editor.language == "python"
        driven.app.post_message(events.Paste("x = 1\n" * 30_000))
        await driven.until(lambda: editor.document.line_count == 30_001)
        assert editor.language is None
        driven.app.post_message(events.Paste("y" * MAX_CHARS))
        await driven.sees("Not pasted")
        assert editor.document.line_count == 30_001


async def test_pressing_every_letter_after_esc_never_reaches_the_code() -> None:
    async with in_scratchpad(typical()) as driven:
        before = scratchpad(driven).editor.text
        screen = scratchpad(driven)
        for key in "abcdefghjklnoprstuvwyz":
            await driven.press("escape", key)
            await driven.pilot.pause()
            while driven.app.screen.is_modal:
                await driven.press("escape")
                await driven.pilot.pause()
        assert screen.editor.text == before


# --- strangers' text


EVIL_TEXT = "\n".join(text for name, text in EVIL.items() if name not in ("surrogate", "long"))


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)])
async def test_a_strangers_request_is_shown_harmlessly_in_every_field_and_dialog(size: tuple[int, int]) -> None:
    engine = typical()
    engine.script = echo
    flat = EVIL_TEXT.replace("\n", " ").replace("\0", "")
    name = flat[:99].replace("/", "|")
    request = RunRequest(
        language="python",
        code=f"START {EVIL_TEXT}",
        files=tuple(SourceFile(path=f"{number}{name}", content=EVIL_TEXT) for number in range(2)),
        args=(flat,),
        stdin=(EVIL_TEXT, EVIL_TEXT),
        env={"A": flat},
        kernel=flat,
    )
    async with in_scratchpad(engine, size) as driven:
        driven.app.open_in_scratchpad(request)
        await driven.sees("START")
        screen = scratchpad(driven)
        await run(driven)
        await driven.sees("success")
        harmless(driven)
        for index in (1, 2, 0):
            screen.show_file(index)
            await driven.pilot.pause()
            harmless(driven)
        screen.action_form()
        for _ in range(16):
            await driven.press("tab")
            harmless(driven)
        for key, sign in (("f", "Files"), ("o", "Open buffers"), ("b", "Batch"), ("h", "History"), ("X", "Close")):
            await driven.press("escape", key)
            await driven.sees(sign)
            await driven.pilot.pause()
            harmless(driven)
            await driven.press("escape")
            await driven.until(lambda: not driven.app.screen.is_modal)
        await driven.press("escape", "b")
        await driven.sees("2 inputs")
        await driven.press("ctrl+r")
        await driven.sees("2 of 2 with success")
        harmless(driven)
        await driven.press("enter")
        await driven.sees("Output of 1")
        harmless(driven)
        await driven.press("escape", "h")
        await driven.sees("2 entries")
        await driven.press("d")
        await driven.sees("they differ")
        harmless(driven)
