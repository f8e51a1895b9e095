"""The evil corpus goes through every view that shows a stranger's text, and comes out harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.live_run import Phase
from console.plain import plain
from console.run_export import export
from console.scratch.buffer import BufferFile
from console.screens.catalogue import CatalogueScreen
from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from console.screens.languages_dialog import LanguagesDialog
from console.setup_stages import Stage
from console.setup_walk import spec
from console.widgets.diff_view import DiffView
from console.widgets.notice import Notice
from console.widgets.walk_trail import WalkTrail
from engine.errors import InternalError
from engine.models import RunEntry, RunEvent, RunRequest
from tests.console.driving import Driven, console, driving
from tests.console.evil import EVIL
from tests.console.evil_samples import evil_engine
from tests.console.fake_engine import FakeEngine, typical
from tests.console.samples import result
from tests.console.scratch_bench import in_scratchpad, outcome, scratchpad
from tests.console.vms_samples import FAILED_RUNS

ALL = "\n".join(EVIL.values())


def harmless(driven: Driven) -> None:
    text = driven.text.replace("\n", "")
    assert plain(text) == text


@pytest.mark.parametrize("size", [(80, 24), pytest.param((200, 50), marks=pytest.mark.nightly)])
@pytest.mark.parametrize("evil", [ALL, EVIL["markup"], EVIL["right to left"]], ids=["all", "markup", "bidi"])
async def test_every_view_shows_evil_text_harmlessly(evil: str, size: tuple[int, int]) -> None:
    app = console(evil_engine(evil))
    async with driving(app, size) as driven:
        for digit in "1234679":
            await driven.press(digit)
            await driven.until(lambda: driven.table.keys, "rows")
            harmless(driven)
            await driven.press("enter")
            await driven.until(lambda: len(app.screen_stack) == 2)
            harmless(driven)
            await driven.press("escape")
            await driven.until(lambda: len(app.screen_stack) == 1)
        await driven.press("1", "S")
        await driven.sees("seen just now")
        for stage in Stage:
            app.screen.query_one(WalkTrail).post_message(WalkTrail.Chosen(stage))
            await driven.sees(spec(stage).about)
            harmless(driven)


@pytest.mark.parametrize("evil", [ALL, EVIL["markup"], EVIL["right to left"]], ids=["all", "markup", "bidi"])
async def test_the_wizards_choice_of_languages_shows_evil_text_harmlessly(evil: str) -> None:
    engine = evil_engine(evil)
    engine.job_list = ()
    async with driving(console(engine)) as driven:
        await driven.press("8")
        await driven.sees("seen just now")
        driven.app.screen.query_one(WalkTrail).post_message(WalkTrail.Chosen(Stage.IMAGE))
        await driven.sees(spec(Stage.IMAGE).about)
        await driven.press("o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        harmless(driven)


@pytest.mark.parametrize("evil", [ALL, EVIL["markup"], EVIL["right to left"]], ids=["all", "markup", "bidi"])
async def test_every_section_of_a_vm_shows_evil_text_harmlessly(evil: str) -> None:
    engine = evil_engine(evil)
    app = console(engine)
    copied: list[str] = []
    app.copy = lambda text, what: copied.append(text)
    async with driving(app) as driven:
        await driven.mode("2", "1 VM")
        await driven.press("enter")
        await driven.until(lambda: driven.app.screen.query(".section"))
        for _ in range(7):
            await driven.pilot.pause()
            harmless(driven)
            await driven.press("y", "right_square_bracket")
        await driven.press("K")
        await driven.sees("Cancel")
        harmless(driven)
    assert len(copied) == 7
    for text in copied:
        lines = text.replace("\t", "\n").split("\n")
        assert [plain(line) for line in lines] == lines


async def test_evil_words_of_past_runs_are_shown_harmlessly() -> None:
    engine = evil_engine(ALL)
    engine.past = tuple(
        FAILED_RUNS[0].model_copy(update={"trace_id": evil, "language": evil, "outcome": evil, "error": evil})
        for evil in (ALL, EVIL["markup"])
    )
    async with driving(console(engine), (200, 50)) as driven:
        await driven.until(lambda: driven.table.keys, "rows")
        await driven.sees("Failed")
        await driven.until(lambda: engine.queries, "the runs asked for")
        await driven.pilot.pause()
        harmless(driven)


async def test_evil_output_is_shown_harmlessly_and_does_not_stop_the_run() -> None:
    async def script(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
        for stream in ("stdout", "stderr"):
            for text in EVIL.values():
                yield RunEvent.model_construct(kind=stream, text=text + "\n")
        yield RunEvent(kind="result", trace_id="r-1", at_ms=1, result=result())

    engine = typical()
    engine.script = script
    async with driving(console(engine), (200, 50)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("success")
        harmless(driven)
        assert "<U+202E>" in driven.output.text
        assert "\x1b" not in driven.output.text


@pytest.mark.parametrize("evil", [ALL, EVIL["markup"]], ids=["all", "markup"])
async def test_the_catalogue_shows_evil_text_harmlessly(evil: str) -> None:
    async with driving(console(evil_engine(evil)), (120, 36)) as driven:
        await driven.mode("3", "1 image")
        await driven.press("c")
        await driven.until(lambda: isinstance(driven.app.screen, CatalogueScreen) and driven.table.keys)
        harmless(driven)
        for keys in ("enter", "escape", "j", "b", "escape", "n", "escape"):
            await driven.press(keys)
            harmless(driven)


async def test_notes_failures_and_questions_show_evil_text_harmlessly() -> None:
    engine = evil_engine(ALL)
    engine.image_list = (engine.image_list[0].model_copy(update={"used_by": ()}),)
    engine.vm_list = ()
    app = console(engine)
    async with driving(app, (120, 36)) as driven:
        await driven.mode("3", "1 image")
        app.tell(ALL)
        await driven.until(lambda: app.screen.query("Toast"))
        harmless(driven)
        app.show_failure(InternalError(ALL, remedy=ALL))
        await driven.until(lambda: isinstance(app.screen, DetailDialog))
        harmless(driven)
        await driven.press("escape", "D")
        await driven.until(lambda: isinstance(app.screen, ConfirmDialog))
        harmless(driven)
        await driven.press("escape", "4")
        await driven.until(lambda: driven.table.keys, "snapshots")
        await driven.press("D")
        await driven.until(lambda: isinstance(app.screen, ConfirmDialog))
        harmless(driven)
        await driven.press("escape", "v")
        await driven.until(lambda: isinstance(app.screen, DetailDialog), "what verify found")
        harmless(driven)
        engine.failing = InternalError(ALL, remedy=ALL)
        await driven.press("escape", "r")
        await driven.until(lambda: app.screen.query_one(Notice).display, "the failure")
        harmless(driven)


@pytest.mark.parametrize("keys", ["ctrl+r", "c", "b"])
async def test_history_difference_and_tables_of_runs_show_evil_output_harmlessly(keys: str) -> None:
    engine = evil_engine(EVIL["markup"])
    evil = "".join(text for name, text in EVIL.items() if name not in ("long", "surrogate"))
    async with in_scratchpad(engine, (120, 36)) as driven:
        pad = scratchpad(driven)
        buffer = pad.desk.current
        buffer.file.text = evil
        buffer.stdins = [evil, "other"] if keys == "b" else [evil]
        buffer.files += [BufferFile(path=evil, text=evil), BufferFile(path="b", text="")]
        pad.show_buffer()
        await driven.pilot.pause()
        harmless(driven)
        pad.set_focus(None)
        await driven.press("f")
        harmless(driven)
        del buffer.files[1:]
        await driven.press("escape")
        for _ in range(2):
            pad.set_focus(None)
            before = pad.desk.outcome
            await driven.press(keys)
            if keys == "b":
                harmless(driven)
                await driven.press("ctrl+r")
            await driven.until(lambda before=before: pad.desk.outcome is not before, "a run")
            await driven.until(lambda: outcome(driven).phase is Phase.ENDED, "its end")
            await driven.pilot.pause()
            harmless(driven)
        await driven.until(lambda: len(pad.past.find().entries) == 2, "both runs kept")
        pad.set_focus(None)
        await driven.press("h")
        await driven.until(lambda: len(driven.table.keys) == 2, "entries")
        harmless(driven)
        await driven.press("d")
        await driven.until(lambda: driven.app.screen.query(DiffView), "the difference")
        harmless(driven)


async def test_an_export_holds_no_evil_for_terminals_and_spreadsheets(tmp_path: Path) -> None:
    async def pages() -> AsyncIterator[tuple[RunEntry, ...]]:
        yield evil_engine("".join(text for name, text in EVIL.items() if name != "surrogate")).past

    for suffix in (".csv", ".json"):
        await export(pages(), tmp_path / f"runs{suffix}")
        told = (tmp_path / f"runs{suffix}").read_text()
        assert "owned" in told
        assert [char for char in told if unicodedata.category(char) in ("Cc", "Cf", "Co") and char not in "\r\n"] == []


async def test_a_sequence_torn_between_pieces_is_still_harmless() -> None:
    async def script(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
        for char in "\x1b]0;owned\x07\x1b[31mred\n":
            yield RunEvent.model_construct(kind="stdout", text=char)
        yield RunEvent(kind="result", trace_id="r-1", at_ms=1, result=result())

    engine = typical()
    engine.script = script
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("success")
        assert driven.output.text == " ␛]0;owned␇red"
