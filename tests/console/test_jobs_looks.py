"""How Jobs looks: empty, usual and full, at each size, in a second theme, with a log that is searched."""

from __future__ import annotations

import pytest

from tests.console.conftest import Looks
from tests.console.driving import SIZES, console, steps
from tests.console.fake_engine import STATES, typical
from tests.console.job_samples import EACH

SIGNS = {
    "empty": "There was no long work yet.",
    "typical": "installing essential packages",
    "full": "line 499 of a long log",
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("state", SIGNS)
def test_jobs(looks_as_before: Looks, state: str, size: tuple[int, int]) -> None:
    engine = STATES[state]()
    if state == "typical":
        engine.job_list = EACH
    assert looks_as_before(console(engine), size=size, before=steps((["6"], SIGNS[state])))


def test_failed(looks_as_before: Looks) -> None:
    assert looks_as_before(console(typical()), before=steps((["6"], "3 jobs"), (["j"], "No room: 70 MiB needed")))


@pytest.mark.parametrize("theme", ["vmdeck-dark", "vmdeck-mono"])
def test_searched(looks_as_before: Looks, theme: str) -> None:
    app = console(typical())
    app.theme = theme
    before = steps((["6"], SIGNS["typical"]), (["tab", "slash", *"nothing"], "1 of 2"))
    assert looks_as_before(app, before=before)
