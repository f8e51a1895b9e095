"""How Runs looks: empty, usual and full, at each size, in a second theme, narrowed, in detail, before an export."""

from __future__ import annotations

import pytest

from console.terminal import Terminal
from tests.console.conftest import Looks
from tests.console.driving import SIZES, Before, console, steps
from tests.console.fake_engine import STATES, full, typical

SIGNS = {"empty": "Nothing has run here yet.", "typical": "6 runs", "full": "200 runs and older"}
LARGE_AND_SMALL = pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["80x24", "200x50"])


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("state", SIGNS)
def test_runs(looks_as_before: Looks, state: str, size: tuple[int, int]) -> None:
    assert looks_as_before(console(STATES[state]()), size=size, before=steps((["7"], SIGNS[state])))


def test_without_colour_and_unicode(looks_as_before: Looks) -> None:
    app = console(typical(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=steps((["7"], SIGNS["typical"]), (["enter"], "First output")))


DIALOGS: dict[str, Before] = {
    "filtered": steps((["7"], SIGNS["full"]), (["slash", *"status:!success caller:cli"], "43 match")),
    "nothing-fits": steps((["7"], SIGNS["full"]), (["slash", *"lang:forth"], "No run fits the filter.")),
    "wrong-filter": steps((["7"], SIGNS["full"]), (["slash", *"lan:python"], "there is no filter lan:")),
    "detail": steps((["7"], SIGNS["full"]), (["enter"], "First output")),
    "export": steps((["7"], SIGNS["full"]), (["w"], "File here")),
}


@LARGE_AND_SMALL
@pytest.mark.parametrize("before", DIALOGS.values(), ids=DIALOGS.keys())
def test_dialog(looks_as_before: Looks, before: Before, size: tuple[int, int]) -> None:
    assert looks_as_before(console(full()), size=size, before=before)


def test_an_error_in_detail(looks_as_before: Looks) -> None:
    before = steps((["7"], SIGNS["typical"]), (["j", "j", "enter"], "All 2 places"))
    assert looks_as_before(console(typical()), before=before)
