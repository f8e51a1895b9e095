"""No field of the console paints what is in it as it is: what is typed, pasted or put into one is shown as signs."""

from __future__ import annotations

import ast
import time
from importlib import import_module
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from console.app import ConsoleApp
from console.plain import plain
from console.widgets.plain_fields import PlainInput, PlainTextArea
from tests.console.driving import Driven, console, driving
from tests.console.evil import EVIL
from tests.console.fake_engine import typical
from tests.console.walk import AREAS, go

CONSOLE = Path(import_module("console").__path__[0])
PLAIN = {Input: PlainInput, TextArea: PlainTextArea}
ALL = "".join(EVIL[name] for name in EVIL if name not in ("long", "wide", "surrogate"))  # no terminal sends these


def bare_fields(source: str) -> list[str]:
    """Where a module makes one of Textual's fields, or a kind of its own from one."""
    made = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    bases = [base for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef) for base in node.bases]
    names = [node.id for node in (*made, *bases) if isinstance(node, ast.Name)]
    return [name for name in names if name in ("Input", "TextArea", "MaskedInput", "Markdown", "RichLog", "Log")]


@pytest.mark.parametrize("file", sorted(CONSOLE.rglob("*.py")), ids=lambda file: str(file.relative_to(CONSOLE)))
def test_no_module_makes_a_field_that_paints_what_it_holds(file: Path) -> None:
    allowed = ["Input", "TextArea"] if file.name == "plain_fields.py" else []
    assert sorted(bare_fields(file.read_text())) == allowed


DIALOGS = [
    ("2", "slash"),
    ("2", "colon"),
    ("2", "T"),
    ("2", "s"),
    ("2", "asterisk,K"),
    ("3", "b"),
    ("3", "a"),
    ("4", "n"),
    ("5", "ctrl+t"),
    ("5", "ctrl+o"),
    ("5", "ctrl+s"),
    ("5", "escape,h"),
    ("5", "escape,b"),
    ("5", "escape,f,n"),
    ("5", "escape,e"),
    ("5", "escape,o"),
    ("7", "w"),
    ("7", "slash"),
    ("8", "o"),
    ("8", "U"),
    ("9", "j,j,j,e"),
]


def fields(driven: Driven) -> list[Input | TextArea]:
    return [
        field
        for screen in driven.app.screen_stack
        for field in screen.query("Input, TextArea").results()
        if isinstance(field, Input | TextArea)
    ]


def assert_all_plain(driven: Driven) -> None:
    for field in fields(driven):
        assert isinstance(field, PlainInput | PlainTextArea), field
        assert not field.cursor_blink


async def fill(driven: Driven) -> None:
    """Put the whole corpus into each field of what is shown, as a paste would."""
    for field in driven.app.screen.query("Input, TextArea").results():
        if isinstance(field, TextArea):
            field.load_text(ALL)
        elif isinstance(field, Input):
            field.value = ALL
    await driven.pilot.pause()


@pytest.mark.parametrize("mode", AREAS, ids=lambda mode: mode.name)
async def test_fields_of_areas_show_signs(mode) -> None:
    async with driving(console(typical()), (200, 50)) as driven:
        await go(driven, mode)
        assert_all_plain(driven)
        await fill(driven)
        harmless(driven)


@pytest.mark.parametrize(("digit", "keys"), DIALOGS)
async def test_fields_of_dialogs_show_signs(digit: str, keys: str) -> None:
    engine = typical()
    engine.job_list = ()  # while setup works, its wishes are not to be changed
    app: ConsoleApp = console(engine)
    async with driving(app, (120, 36)) as driven:
        mode = AREAS[int(digit) - 1]
        await go(driven, mode)
        before = app.screen.focused, len(app.screen_stack)
        await driven.press(*keys.split(","))
        assert (app.screen.focused, len(app.screen_stack)) != before, "the key opened something"
        assert fields(driven)
        assert_all_plain(driven)
        await fill(driven)
        harmless(driven)


async def test_a_secret_stays_hidden() -> None:
    async with driving(console(typical())) as driven:
        await driven.until(lambda: driven.app.last_health is not None)
        field = PlainInput("geheim", password=True)
        await driven.app.screen.mount(field)
        await driven.sees("••••••")
        assert "geheim" not in driven.text


async def test_the_cursor_stands_behind_the_signs_that_are_shown() -> None:
    async with driving(console(typical())) as driven:
        field = PlainInput("a\x1b\nb")
        await driven.app.screen.mount(field)
        assert field._position_to_cell(3) == len("a␛␊")


async def test_a_strangers_long_lines_do_not_hold_a_field_up() -> None:
    async with driving(console(typical())) as driven:
        began = time.process_time()
        await driven.app.screen.mount(PlainInput("\n".join(("x" * 20_000, "y" * 20_000))))
        assert time.process_time() - began < 1.0


def harmless(driven: Driven) -> None:
    text = driven.text.replace("\n", "")
    assert plain(text) == text
