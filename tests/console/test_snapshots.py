"""How each area looks, at the smallest usual size and at a large one. The clock stands still and nothing blinks."""

from __future__ import annotations

import pytest

from console.modes import MODES
from console.terminal import Terminal
from tests.console.conftest import Looks
from tests.console.driving import Before, console, steps
from tests.console.fake_engine import STATES, empty, lost, typical

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}
AREAS: dict[str, dict[str, str]] = {
    "empty": {
        "5": "import platform",
    },
    "typical": {
        "5": "import platform",
    },
    "full": {},
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize(
    ("state", "digit", "sign"),
    [(state, digit, sign) for state, areas in AREAS.items() for digit, sign in areas.items()],
    ids=[f"{state}-{MODES[int(digit) - 1].name}" for state, areas in AREAS.items() for digit in areas],
)
def test_area(looks_as_before: Looks, state: str, digit: str, sign: str, size: tuple[int, int]) -> None:
    app = console(STATES[state]())
    assert looks_as_before(app, size=size, before=steps(([digit], sign)))


DIALOGS: dict[str, Before] = {
    "help": steps((["question_mark"], "Keys")),
    "palette": steps((["colon"], "Actions")),
    "theme": steps((["T"], "Theme")),
    "setup": steps((["S"], "Apply 1 step")),
    "language": steps((["5"], "import platform"), (["ctrl+t"], "Forth")),
}


@pytest.mark.parametrize("before", DIALOGS.values(), ids=DIALOGS.keys())
def test_dialog(looks_as_before: Looks, before: Before) -> None:
    assert looks_as_before(console(typical()), before=before)


RUN = steps((["5"], "import platform"), (["ctrl+r"], "peak memory"))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_run(looks_as_before: Looks, size: tuple[int, int]) -> None:
    assert looks_as_before(console(typical()), size=size, before=RUN)


def test_run_that_fails(looks_as_before: Looks) -> None:
    engine = typical()
    engine.script = lost
    before = steps((["5"], "import platform"), (["ctrl+r"], "Internal fault"))
    assert looks_as_before(console(engine), before=before)


def test_too_small(looks_as_before: Looks) -> None:
    assert looks_as_before(console(empty()), size=(50, 12), before=steps())


@pytest.mark.parametrize("theme", ["vmdeck-light", "high-contrast", "vmdeck-16", "vmdeck-mono"])
@pytest.mark.parametrize("before", [RUN], ids=["run"])
def test_theme(looks_as_before: Looks, theme: str, before: Before) -> None:
    app = console(typical())
    app.theme = theme
    assert looks_as_before(app, before=before)


@pytest.mark.parametrize("before", [RUN], ids=["run"])
def test_without_colour_and_unicode(looks_as_before: Looks, before: Before) -> None:
    app = console(typical(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=before)
