"""History, comparing, batches, copying and files of the scratchpad; what its editor takes; strangers' text."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from console.widgets.code_editor import MAX_CHARS
from console.widgets.diff_view import DiffView
from engine.errors import NotReadyError
from engine.models import RunEvent, RunRequest, SourceFile
from tests.console.driving import console, driving
from tests.console.evil import EVIL
from tests.console.fake_engine import FakeEngine, endless, lost, typical
from tests.console.scratch_bench import echo, in_scratchpad, run, scratchpad
from tests.console.test_evil_text import harmless

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
