"""How images, the catalogue and snapshots look: empty, as usual, and with more than fits."""

from __future__ import annotations

import pytest

from console.terminal import Terminal
from tests.console.conftest import Looks
from tests.console.driving import Before, Driven, console, steps
from tests.console.fake_engine import empty
from tests.console.stock_samples import crammed, stocked

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}
ENGINES = {"empty": empty, "typical": stocked, "full": crammed}
SCREENS: dict[str, dict[str, Before]] = {
    "images": {
        "empty": steps((["3"], "There is no image yet.")),
        "typical": steps((["3"], "3 images")),
        "full": steps((["3"], "50 images")),
    },
    "catalogue": {
        "empty": steps((["3"], "There is no image"), (["c"], "3 languages, 0 can run")),
        "typical": steps((["3"], "3 images"), (["c"], "4 languages")),
        "full": steps((["3"], "50 images"), (["c"], "70 languages")),
    },
    "images-bucket": {
        "typical": steps((["3"], "3 images"), (["B"], "4 in the bucket")),
    },
    "snapshots-bucket": {
        "typical": steps((["4"], "3 snapshots"), (["B"], "3 in the bucket")),
    },
    "snapshots": {
        "empty": steps((["4"], "There is no snapshot yet")),
        "typical": steps((["4"], "3 snapshots")),
        "full": steps((["4"], "50 snapshots")),
    },
}
ALL = [(screen, state, before) for screen, states in SCREENS.items() for state, before in states.items()]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize(("screen", "state", "before"), ALL, ids=[f"{state}-{screen}" for screen, state, _ in ALL])
def test_screen(looks_as_before: Looks, screen: str, state: str, before: Before, size: tuple[int, int]) -> None:
    assert looks_as_before(console(ENGINES[state]()), size=size, before=before)


def _then(begin: Before, keys: str, sign: str) -> Before:
    async def before(driven: Driven) -> None:
        await begin(driven)
        await driven.press(*keys.split())
        await driven.sees(sign)

    return before


_IMAGES, _CATALOGUE, _SNAPSHOTS = (SCREENS[screen]["typical"] for screen in ("images", "catalogue", "snapshots"))
DIALOGS: dict[str, Before] = {
    "image-detail": _then(_IMAGES, "enter", "Used by"),
    "image-build": _then(_IMAGES, "b", "none: only the packages below"),
    "image-build-wrong": _then(_IMAGES, "b tab tab a ! enter", "is no package name"),
    "image-build-docker": _then(
        _IMAGES, "b tab enter d o c k e r space i m a g e enter tab g o : 1", "of a Docker engine"
    ),
    "image-upload": _then(_IMAGES, "j U", "It replaces the one there"),
    "image-download": _then(_IMAGES, "B G F", "Download image ruby?"),
    "image-bucket-detail": _then(_IMAGES, "B j enter", "the bucket has another"),
    "prune": _then(_IMAGES, "P", "All downloads too"),
    "image-add": _then(_IMAGES, "a", "then renew its 1 snapshot"),
    "image-in-use": _then(_IMAGES, "D", "is in use"),
    "image-delete": _then(_IMAGES, "j D", "Delete image bash?"),
    "language": _then(_CATALOGUE, "enter", "import platform"),
    "snapshot-detail": _then(_SNAPSHOTS, "enter", "Restores"),
    "snapshot-outdated": _then(_SNAPSHOTS, "G enter", "built anew since"),
    "snapshot-refused": _then(_SNAPSHOTS, "j enter", "vmdeck snapshot refresh"),
    "snapshot-new": _then(_SNAPSHOTS, "n", "bash-256m-1c"),
    "snapshot-damaged": _then(_SNAPSHOTS, "v", "digest differs"),
}


@pytest.mark.parametrize("before", DIALOGS.values(), ids=DIALOGS.keys())
def test_dialog(looks_as_before: Looks, before: Before) -> None:
    assert looks_as_before(console(stocked()), before=before)


@pytest.mark.parametrize("before", [_CATALOGUE, _SNAPSHOTS, DIALOGS["snapshot-new"]], ids=["list", "spark", "form"])
def test_without_colour_and_unicode(looks_as_before: Looks, before: Before) -> None:
    app = console(stocked(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=before)
