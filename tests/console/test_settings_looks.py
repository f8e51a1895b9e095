"""How the settings look."""

from __future__ import annotations

import pytest

from console.app import ConsoleApp
from console.terminal import Terminal
from tests.console.conftest import Looks
from tests.console.driving import Before, console, steps
from tests.console.fake_engine import FakeEngine, empty, typical
from tests.console.settings_samples import RUNNING, SETTINGS

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}


def served() -> FakeEngine:
    engine = typical()
    engine.service_state = RUNNING
    engine.token = "s3cret-t0ken"
    return engine


def nothing() -> FakeEngine:
    engine = empty()
    engine.setting_list = ()
    return engine


def many() -> FakeEngine:
    """More settings than fit, with the longest names and values."""
    engine = served()
    engine.setting_list = tuple(
        one.model_copy(update={"name": f"{one.name}_{number:02}_{'x' * 20}", "value": one.value * 30})
        for number in range(8)
        for one in SETTINGS
    )
    return engine


STATES = {
    "empty": (nothing, "names no settings", "systemd does not run"),
    "typical": (served, "7 settings", "process 812"),
    "full": (many, "56 settings", "process 812"),
}


def shown(engine: FakeEngine, theme: str = "vmdeck-dark") -> ConsoleApp:
    app = console(engine)
    app.theme = theme
    return app


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("state", STATES)
def test_settings(looks_as_before: Looks, state: str, size: tuple[int, int]) -> None:
    make, sign, service = STATES[state]
    assert looks_as_before(shown(make()), size=size, before=steps((["9"], sign), ([], service)))


@pytest.mark.parametrize("theme", ["colour-blind-safe", "vmdeck-16"])
@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["80x24", "200x50"])
def test_settings_in_another_theme(looks_as_before: Looks, theme: str, size: tuple[int, int]) -> None:
    assert looks_as_before(shown(served(), theme), size=size, before=steps((["9"], "7 settings"), ([], "process 812")))


def test_settings_without_colour_and_unicode(looks_as_before: Looks) -> None:
    app = console(served(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=steps((["9"], "7 settings"), ([], "process 812")))


DIALOGS: dict[str, Before] = {
    "detail": steps((["9"], "7 settings"), (["enter"], "VMDECK_DATA_DIR goes")),
    "form": steps((["9"], "7 settings"), ([*"jjjj", "e"], "default: 32")),
    "choices": steps((["9"], "7 settings"), (["j", "e"], "firecracker")),
    "service": steps((["9"], "process 812"), (["d"], "systemctl stop")),
    "stop": steps((["9"], "process 812"), (["d", "enter"], "Stop the service?")),
    "token": steps((["9"], "process 812"), (["t", "tab", "enter"], "s3cret")),
}


@pytest.mark.parametrize("before", DIALOGS.values(), ids=DIALOGS.keys())
def test_dialog(looks_as_before: Looks, before: Before) -> None:
    assert looks_as_before(console(served()), before=before)
