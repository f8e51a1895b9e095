"""Where the terminal has no Unicode, every cell of every screen is printable ASCII, and frames stay frames."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.ascii import UNLIKE, to_ascii
from console.modes import Mode
from console.plain import plain
from console.terminal import Terminal
from engine.models import RunEvent, RunRequest
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import FakeEngine, full, typical
from tests.console.samples import CHECKS, IMAGES, JOBS, SNAPSHOTS, result, vm
from tests.console.walk import AREAS, go, tables

CONSOLE = Path(__file__).parents[2] / "console"
FOREIGN = "Übergröße \u2013 日本語 e\u0301 “quoted” ▁▅█ \U0001f469\u200d\U0001f469 Ω"


def foreign() -> FakeEngine:
    """Every text that comes from the engine is of other characters than ASCII."""
    engine = typical()
    engine.checks = tuple(check.model_copy(update={"title": FOREIGN, "seen": FOREIGN}) for check in CHECKS)
    engine.vm_list = (vm(0, id=FOREIGN, language=FOREIGN, trace_id=FOREIGN, image=FOREIGN, purpose=FOREIGN),)
    engine.image_list = (IMAGES[0].model_copy(update={"name": FOREIGN, "source": FOREIGN}),)
    engine.snapshot_list = (SNAPSHOTS[1].model_copy(update={"name": FOREIGN, "problem": FOREIGN}),)
    engine.job_list = (JOBS[1].model_copy(update={"title": FOREIGN, "error": FOREIGN}),)
    engine.job_lines = (FOREIGN, "plain")
    engine.setting_list = tuple(
        one.model_copy(update={"value": FOREIGN, "about": FOREIGN}) for one in engine.setting_list
    )
    return engine


def ascii_only(driven: Driven) -> None:
    width = driven.app.size.width
    for row in driven.text.split("\n"):
        assert row.isascii(), row
        assert row.isprintable(), repr(row)
        assert len(row) == width, row


def framed(driven: Driven) -> None:
    """The dialog's box has its four sides."""
    box = driven.app.screen.query_one("#dialog").region
    rows = [row[box.x : box.right] for row in driven.text.split("\n")[box.y : box.bottom]]
    assert [(row[0], row[-1]) for row in (rows[0], rows[-1])] == [("+", "+")] * 2
    assert {(row[0], row[-1]) for row in rows[1:-1]} == {("|", "|")}
    assert (rows[0][1], rows[-1][1]) == ("-", "-")


@pytest.mark.parametrize(
    ("make", "size"), [(full, (80, 24)), (foreign, (80, 24)), (foreign, (200, 50))], ids=["full", "foreign", "large"]
)
@pytest.mark.parametrize("mode", AREAS, ids=lambda mode: mode.name)
async def test_every_area_and_its_dialogs_are_ascii(mode: Mode, make: type[FakeEngine], size: tuple[int, int]) -> None:
    async with driving(console(make(), terminal=Terminal(ascii_only=True)), size) as driven:
        await go(driven, mode)
        ascii_only(driven)
        for key, sign in (("f1", "Keys"), ("ctrl+p", "type to find")):
            await driven.press(key)
            await driven.sees(sign)
            ascii_only(driven)
            framed(driven)
            await driven.press("escape")
            await driven.until(lambda: not driven.app.screen.is_modal)
        if any(table.keys for table in tables(driven)):
            await driven.press("enter")
            await driven.pilot.pause()
            ascii_only(driven)


async def test_a_run_with_its_output_is_ascii() -> None:
    async def script(engine: FakeEngine, request: RunRequest) -> Iterator[RunEvent]:
        for stream in ("stdout", "stderr"):
            yield RunEvent(kind=stream, trace_id="r-1", at_ms=1, text=f"{FOREIGN}\n")
        yield RunEvent(kind="result", trace_id="r-1", at_ms=1, result=result())

    engine = typical()
    engine.script = script
    async with driving(console(engine, terminal=Terminal(ascii_only=True)), (200, 50)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("success")
        await driven.sees("Ubergro?e - ??????")
        ascii_only(driven)


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=20))
def test_any_text_keeps_its_width(text: str) -> None:
    shown = plain(text)
    assert to_ascii(shown).isascii()
    assert len(to_ascii(shown)) == cell_len(shown)


def glyphs() -> Iterator[tuple[str, str]]:
    """Characters beyond ASCII in the console's own strings, and the file that has them."""
    for path in sorted(CONSOLE.rglob("*.py")):
        if path.name in ("ascii.py", "plain.py"):  # which know them only to replace them
            continue
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type != tokenize.COMMENT:
                yield from ((char, path.name) for char in token.string if not char.isascii())


def test_each_glyph_of_the_console_has_a_likeness_of_its_own() -> None:
    missing = {(char, name) for char, name in glyphs() if to_ascii(char) in (UNLIKE, "")}
    assert missing == set()
