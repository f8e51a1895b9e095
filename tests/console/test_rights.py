"""What a viewer may do, and what is the operator's only: the console offers what the engine allows, no more."""

from __future__ import annotations

import pytest

from console import connection as connection_module
from console.actions import ACTIONS, Action
from console.connection import ConnectionState
from console.modes import MODES, Mode
from console.rights import REFUSED, Rights
from console.screens.detail import DetailDialog
from console.screens.vm_detail import VmDetailScreen
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import IDENTITY, VIEWER, FakeEngine, busy, typical
from tests.console.setup_samples import bare
from tests.console.walk import go

PRIVATE = {"runs": "runs", "settings": "settings"}
"""Areas that are the operator's only, and what they ask."""


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "RETRY_AFTER_S", (0.02,))


def for_viewers(engine: FakeEngine) -> FakeEngine:
    engine.identity = VIEWER
    return engine


def mode_named(name: str) -> Mode:
    return next(mode for mode in MODES if mode.name == name)


async def attach_as(driven: Driven, engine: FakeEngine, role: str) -> None:
    """The engine goes, and takes the console for another when it is back."""
    engine.gone.set()
    await driven.until(lambda: driven.app.connection.state is ConnectionState.LOST)
    engine.identity = IDENTITY.model_copy(update={"role": role})
    engine.gone.clear()
    await driven.until(lambda: driven.app.connection.state is ConnectionState.OPEN)


@pytest.mark.parametrize("area", PRIVATE)
async def test_what_is_the_operators_only_is_told_calmly_and_asked_for_once(area: str) -> None:
    engine = for_viewers(typical())
    async with driving(console(engine, tick_s=0.02), (120, 36)) as driven:
        await go(driven, mode_named(area))
        await driven.sees(f"This is {REFUSED}.")
        asked, beats = engine.calls.count(PRIVATE[area]), engine.calls.count("health")
        await driven.until(lambda: engine.calls.count("health") > beats + 3)
        assert engine.calls.count(PRIVATE[area]) == asked
        assert "✗" not in driven.text
        assert "! degraded" in driven.text.splitlines()[0]


@pytest.mark.parametrize("area", PRIVATE)
async def test_it_is_asked_for_again_once_the_engine_takes_the_console_for_another(area: str) -> None:
    engine = for_viewers(typical())
    async with driving(console(engine, tick_s=0.02), (120, 36)) as driven:
        await go(driven, mode_named(area))
        await driven.sees(REFUSED)
        await attach_as(driven, engine, "operator")
        await driven.until(lambda: driven.table.keys)
        await driven.sees_no(REFUSED)
        await attach_as(driven, engine, "viewer")
        await driven.sees(REFUSED)
        await driven.until(lambda: driven.table.keys == [])


async def test_a_viewer_may_run_code() -> None:
    engine = for_viewers(typical())
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("Hello from Python")


async def test_a_viewer_copies_a_curl_line_though_the_service_is_not_theirs_to_see() -> None:
    engine = for_viewers(typical())
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("5", "Python")
        await driven.press("escape", "y")
        await driven.sees("curl line")
        await driven.press(*"curl", "enter")
        await driven.sees("curl line:")
        assert "service" not in engine.calls


async def test_a_viewer_sees_of_a_vm_what_the_list_knows() -> None:
    engine = for_viewers(busy())
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("enter")
        await driven.until(lambda: isinstance(driven.app.screen, DetailDialog))
        assert "vm" not in engine.calls


async def test_an_open_vm_is_the_operators_only_once_the_console_is_taken_for_a_viewer() -> None:
    engine = busy()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("enter")
        await driven.until(lambda: isinstance(driven.app.screen, VmDetailScreen))
        await driven.sees("Summary")
        await attach_as(driven, engine, "viewer")
        await driven.sees(REFUSED)
        assert "engine fails" not in driven.text


async def test_setup_follows_the_engines_word_on_who_this_is() -> None:
    engine = for_viewers(bare())
    async with driving(console(engine, tick_s=0.05), (120, 36)) as driven:
        await driven.press("8")
        await driven.sees("Everything can be looked at here")
        await attach_as(driven, engine, "operator")
        await driven.sees_no("Everything can be looked at here")


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.where}.{action.call}")
def test_who_asked_to_look_only_runs_and_changes_nothing_and_sees_all(action: Action) -> None:
    assert Rights(read_only=True).allow(action) is not (action.runs or action.changes)
    assert Rights(viewer=True).allow(action) is not (action.private or action.changes)
    assert Rights().allow(action)
