"""How the frame looks: its dialogs, its themes, a terminal without colours, one that is too small.

Each area has a file of its own, ``test_<area>_looks.py``. The clock stands still and nothing blinks.
"""

from __future__ import annotations

import pytest

from console.terminal import Terminal
from tests.console.conftest import Looks
from tests.console.driving import Before, console, steps
from tests.console.fake_engine import empty, typical

DIALOGS: dict[str, Before] = {
    "help": steps((["question_mark"], "Keys")),
    "palette": steps((["colon"], "─ Palette")),
    "theme": steps((["T"], "Theme")),
}
OVERVIEW = steps(([], "7 ok"))
RUN = steps((["5"], "import platform"), (["ctrl+r"], "peak memory"))
SHOWN = pytest.mark.parametrize("before", [OVERVIEW, RUN], ids=["overview", "run"])


@pytest.mark.parametrize("before", DIALOGS.values(), ids=DIALOGS.keys())
def test_dialog(looks_as_before: Looks, before: Before) -> None:
    assert looks_as_before(console(typical()), before=before)


def test_too_small(looks_as_before: Looks) -> None:
    assert looks_as_before(console(empty()), size=(50, 12), before=steps())


@pytest.mark.parametrize("theme", ["vmdeck-light", "colour-blind-safe", "high-contrast", "vmdeck-16", "vmdeck-mono"])
@SHOWN
def test_theme(looks_as_before: Looks, theme: str, before: Before) -> None:
    app = console(typical())
    app.theme = theme
    assert looks_as_before(app, before=before)


@SHOWN
def test_without_colour_and_unicode(looks_as_before: Looks, before: Before) -> None:
    app = console(typical(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=before)
