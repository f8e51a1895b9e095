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
        "1": "blocked,",
        "2": "No VM is alive.",
        "3": "There is no image yet.",
        "4": "There is no snapshot yet",
        "5": "import platform",
        "6": "There was no long work yet.",
    },
    "typical": {
        "1": "7 ok",
        "2": "5 VMs",
        "3": "2 images",
        "4": "2 snapshots",
        "5": "import platform",
        "6": "installing essential packages",
    },
    "full": {
        "1": "28 ok",
        "2": "60 VMs",
        "3": "50 images",
        "4": "50 snapshots",
        "6": "line 499 of a long log",
    },
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
    "check": steps(([], "7 ok"), (["enter"], "Remedy")),
    "kill": steps((["2"], "5 VMs"), (["K"], "Kill VM vm-0a31?")),
    "filter": steps((["2"], "5 VMs"), (["slash", *"python"], "2 of 5 match")),
    "new-snapshot": steps((["4"], "2 snapshots"), (["n"], "bash")),
    "language": steps((["5"], "import platform"), (["ctrl+t"], "Forth")),
    "failed-job": steps((["6"], "3 jobs"), (["j"], "No room: 70 MiB needed")),
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
@pytest.mark.parametrize(("digit", "before"), [("1", steps(([], "7 ok"))), ("5", RUN)], ids=["overview", "run"])
def test_theme(looks_as_before: Looks, theme: str, digit: str, before: Before) -> None:
    app = console(typical())
    app.theme = theme
    assert looks_as_before(app, before=before)


@pytest.mark.parametrize("before", [steps(([], "7 ok")), RUN], ids=["overview", "run"])
def test_without_colour_and_unicode(looks_as_before: Looks, before: Before) -> None:
    app = console(typical(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=before)
