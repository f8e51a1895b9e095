"""How the first look looks, from a bare host to a full one."""

from __future__ import annotations

import pytest

from console.terminal import Terminal
from tests.console.conftest import Looks
from tests.console.driving import console, steps
from tests.console.fake_engine import STATES, VIEWER, busy, typical

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}
SIGNS = {
    "empty": (([], "First run"), (["1"], "blocked,")),  # a bare host leads into its setup
    "typical": (([], "7 ok"),),
    "full": (([], "28 ok"),),
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("state", SIGNS)
def test_overview(looks_as_before: Looks, state: str, size: tuple[int, int]) -> None:
    engine = busy() if state == "typical" else STATES[state]()
    assert looks_as_before(console(engine), size=size, before=steps(*SIGNS[state], ([], "Failed")))


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["80x24", "200x50"])
@pytest.mark.parametrize("theme", ["high-contrast", "vmdeck-16", "vmdeck-mono"])
def test_theme(looks_as_before: Looks, theme: str, size: tuple[int, int]) -> None:
    app = console(busy())
    app.theme = theme
    assert looks_as_before(app, size=size, before=steps(([], "7 ok"), ([], "timeout")))


def test_without_colour_and_unicode(looks_as_before: Looks) -> None:
    app = console(busy(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=steps(([], "7 ok"), ([], "timeout")))


def test_the_operators_only(looks_as_before: Looks) -> None:
    engine = busy()
    engine.identity = VIEWER
    assert looks_as_before(console(engine), before=steps(([], "7 ok"), ([], "the operator's only")))


@pytest.mark.parametrize(
    ("keys", "sign"), [(["enter"], "Remedy"), (["j", "f"], "Setup does its step")], ids=["check", "fix"]
)
def test_dialog(looks_as_before: Looks, keys: list[str], sign: str) -> None:
    assert looks_as_before(console(typical()), before=steps(([], "7 ok"), (keys, sign)))
