"""How live VMs look: the list, and one of them in detail."""

from __future__ import annotations

import pytest

from console.screens.vm_detail import VmDetailScreen
from console.terminal import Terminal
from console.widgets.output_view import OutputView
from tests.console.conftest import Looks
from tests.console.driving import Before, Driven, console, steps
from tests.console.fake_engine import FakeEngine, busy, empty, full

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}
SMALL_AND_LARGE = [(80, 24), (200, 50)]
STATES = {"empty": (empty, "No VM is alive."), "typical": (busy, "5 VMs"), "full": (full, "60 VMs")}
NEXT = "right_square_bracket"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("state", STATES)
def test_list(looks_as_before: Looks, state: str, size: tuple[int, int]) -> None:
    engine, sign = STATES[state]
    assert looks_as_before(console(engine()), size=size, before=steps((["2"], sign)))


DIALOGS: dict[str, Before] = {
    "kill": steps((["2"], "5 VMs"), (["K"], "Kill VM vm-0a31?")),
    "kill-marked": steps((["2"], "5 VMs"), (["asterisk", "K"], "Kill 5 VMs?")),
    "filter": steps((["2"], "5 VMs"), (["slash", *"python"], "2 of 5 match")),
    "sort": steps((["2"], "5 VMs"), (["s"], "Sort by")),
    "sorted-and-marked": steps((["2"], "5 VMs"), (["space", "space", "s"], "Sort by"), ([*"cpu", "enter"], "CPU%▼")),
}


@pytest.mark.parametrize("before", DIALOGS.values(), ids=DIALOGS.keys())
def test_dialog(looks_as_before: Looks, before: Before) -> None:
    assert looks_as_before(console(busy()), before=before)


def detail(section: int) -> Before:
    """The detail of the first VM, at one of its sections, once all of its console is there."""

    async def before(driven: Driven) -> None:
        await steps((["2"], "vm-0a31"), (["enter"], "Link "))(driven)
        screen = driven.app.screen
        assert isinstance(screen, VmDetailScreen)
        await driven.until(lambda: any("r-7f3c" in line.text for line in screen.serial.log.lines), "the serial console")
        await driven.press(*[NEXT] * section)
        view = screen.query_one(OutputView)
        await driven.until(lambda: not view.region or "r-7f3c" in view.text, "it is drawn")

    return before


SECTIONS = ("summary", "metrics", "timeline", "serial", "vmm", "limits", "guest")


@pytest.mark.parametrize("section", range(len(SECTIONS)), ids=SECTIONS)
def test_section(looks_as_before: Looks, section: int) -> None:
    assert looks_as_before(console(busy()), before=detail(section))


@pytest.mark.parametrize("size", [(120, 36), (200, 50)], ids=["120x36", "200x50"])
def test_detail(looks_as_before: Looks, size: tuple[int, int]) -> None:
    app = console(busy())
    assert looks_as_before(app, size=size, before=detail(1))


def test_detail_without_colour_and_unicode(looks_as_before: Looks) -> None:
    app = console(busy(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=detail(1))


def unknown() -> FakeEngine:
    """An engine that knows nothing of its VMs but that they live, and has no jail for them."""
    engine = busy()
    engine.vm_list = tuple(
        one.model_copy(update={"jailed": False, "jail": "the host has no control groups"}) for one in engine.vm_list
    )
    engine.details = {}
    engine.serial = {"vm-0a31": ("r-7f3c\n",)}
    return engine


@pytest.mark.parametrize("size", SMALL_AND_LARGE, ids=["80x24", "200x50"])
def test_detail_of_which_little_is_known(looks_as_before: Looks, size: tuple[int, int]) -> None:
    assert looks_as_before(console(unknown()), size=size, before=detail(0))


def test_detail_of_a_vm_that_ended(looks_as_before: Looks) -> None:
    engine = busy()

    async def before(driven: Driven) -> None:
        await detail(0)(driven)
        engine.vm_list = ()
        await driven.press("r")
        await driven.sees("ended after")

    assert looks_as_before(console(engine), size=(200, 50), before=before)
