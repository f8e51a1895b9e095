"""How each area looks, at the smallest usual size and at a large one. The clock stands still and nothing blinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot

from console.modes import MODES
from console.terminal import Terminal
from tests.console.driving import Driven, console
from tests.console.fake_engine import STATES, empty, lost, typical

SIZES = {"80x24": (80, 24), "200x50": (200, 50)}
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
Before = Callable[[Pilot[Any]], Awaitable[None]]


def steps(*moves: tuple[Sequence[str], str]) -> Before:
    """Press keys, wait for a text, and so on."""

    async def before(pilot: Pilot[Any]) -> None:
        driven = Driven(pilot.app, pilot)
        await driven.until(lambda: pilot.app.last_health is not None)
        for keys, sign in moves:
            await driven.press(*keys)
            await driven.sees(sign)
        await pilot.pause()

    return before


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize(
    ("state", "digit", "sign"),
    [(state, digit, sign) for state, areas in AREAS.items() for digit, sign in areas.items()],
    ids=[f"{state}-{MODES[int(digit) - 1].name}" for state, areas in AREAS.items() for digit in areas],
)
def test_area(snap_compare: Any, state: str, digit: str, sign: str, size: tuple[int, int]) -> None:
    app = console(STATES[state]())
    assert snap_compare(app, terminal_size=size, run_before=steps(([digit], sign)))


DIALOGS: dict[str, Before] = {
    "help": steps((["question_mark"], "Keys")),
    "palette": steps((["colon"], "Actions")),
    "theme": steps((["T"], "Theme")),
    "check": steps(([], "7 ok"), (["enter"], "Remedy")),
    "setup": steps((["S"], "Apply 1 step")),
    "kill": steps((["2"], "5 VMs"), (["K"], "Kill VM vm-0a31?")),
    "filter": steps((["2"], "5 VMs"), (["slash", *"python"], "2 of 5 match")),
    "new-snapshot": steps((["4"], "2 snapshots"), (["n"], "bash")),
    "language": steps((["5"], "import platform"), (["ctrl+t"], "Forth")),
    "failed-job": steps((["6"], "3 jobs"), (["j"], "No room: 70 MiB needed")),
}


@pytest.mark.parametrize("before", DIALOGS.values(), ids=DIALOGS.keys())
def test_dialog(snap_compare: Any, before: Before) -> None:
    assert snap_compare(console(typical()), run_before=before)


RUN = steps((["5"], "import platform"), (["ctrl+r"], "peak memory"))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_run(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(console(typical()), terminal_size=size, run_before=RUN)


def test_run_that_fails(snap_compare: Any) -> None:
    engine = typical()
    engine.script = lost
    before = steps((["5"], "import platform"), (["ctrl+r"], "Internal fault"))
    assert snap_compare(console(engine), run_before=before)


def test_too_small(snap_compare: Any) -> None:
    assert snap_compare(console(empty()), terminal_size=(50, 12), run_before=steps())


@pytest.mark.parametrize("theme", ["vmdeck-light", "high-contrast", "vmdeck-16", "vmdeck-mono"])
@pytest.mark.parametrize(("digit", "before"), [("1", steps(([], "7 ok"))), ("5", RUN)], ids=["overview", "run"])
def test_theme(snap_compare: Any, theme: str, digit: str, before: Before) -> None:
    app = console(typical())
    app.theme = theme
    assert snap_compare(app, run_before=before)


@pytest.mark.parametrize("before", [steps(([], "7 ok")), RUN], ids=["overview", "run"])
def test_without_colour_and_unicode(snap_compare: Any, before: Before) -> None:
    app = console(typical(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert snap_compare(app, run_before=before)
