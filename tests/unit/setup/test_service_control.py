"""The service as the console steers it, over a stand-in for systemctl; where systemd does not run it says so."""

from __future__ import annotations

import pytest

from engine.errors import NotReadyError
from engine.lock import owned
from engine.models import ServiceAction
from engine.settings import Settings
from engine.setup import service, service_control, systemd
from tests.unit.setup.conftest import Commands

ADDRESSES = ("unix:/run/vmdeck/engine.sock", "http://127.0.0.1:8080")


def unit(
    load: str = "loaded", active: str = "active", sub: str = "running", enabled: str = "enabled", pid: int = 7
) -> str:
    """What a stand-in for systemctl does: it tells of a unit in this state."""
    lines = f"LoadState={load}\\nActiveState={active}\\nSubState={sub}\\nUnitFileState={enabled}\\nMainPID={pid}\\n"
    return f"case $1 in show) printf '{lines}';; esac"


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, commands: Commands) -> Commands:
    """systemd runs, and the service in it; we are root."""
    systemd.RUNNING.mkdir(parents=True)
    for module in (service, service_control):
        monkeypatch.setattr(module, "is_root", lambda: True)
    commands.add("systemctl", unit())
    return commands


async def test_without_systemd_it_says_so_and_offers_nothing(commands: Commands, settings: Settings) -> None:
    state = await service_control.look(settings, ADDRESSES)
    assert (state.systemd, state.installed, state.active, state.actions) == (False, False, False, ())
    assert "systemd does not run here" in state.seen
    assert state.addresses == ADDRESSES
    with pytest.raises(NotReadyError, match="systemd does not run here"):
        await service_control.control("start")
    assert commands.calls == []


STATES: dict[str, tuple[str, tuple[bool, bool, bool], tuple[str, ...], str]] = {
    "runs": (unit(), (True, True, True), ("stop", "restart", "disable"), "active (running), process 7, enabled"),
    "stopped": (
        unit(active="inactive", sub="dead", enabled="disabled", pid=0),
        (True, False, False),
        ("start", "enable"),
        "inactive (dead), not enabled",
    ),
    "failed": (
        unit(active="failed", sub="failed", pid=0),
        (True, False, True),
        ("start", "disable"),
        "journalctl -u vmdeck.service says why",
    ),
    "not installed": (
        unit(load="not-found", active="inactive", sub="dead", enabled="", pid=0),
        (False, False, False),
        (),
        "`vmdeck service install` installs it",
    ),
}


@pytest.mark.parametrize(("body", "facts", "actions", "seen"), STATES.values(), ids=STATES.keys())
async def test_the_state_is_what_systemd_tells(
    body: str,
    facts: tuple[bool, bool, bool],
    actions: tuple[str, ...],
    seen: str,
    running: Commands,
    settings: Settings,
) -> None:
    running.add("systemctl", body)
    state = await service_control.look(settings, ())
    assert (state.installed, state.active, state.enabled) == facts
    assert state.actions == actions
    assert seen in state.seen


async def test_only_root_may_steer_it(running: Commands, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (service, service_control):
        monkeypatch.setattr(module, "is_root", lambda: False)
    state = await service_control.look(settings, ())
    assert (state.active, state.actions, "only root" in state.seen) == (True, (), True)
    with pytest.raises(NotReadyError, match="needs root"):
        await service_control.control("stop")
    assert running.changing() == []


async def test_a_service_that_waits_for_this_engine_says_so(running: Commands, settings: Settings) -> None:
    running.add("systemctl", unit(active="activating", sub="auto-restart", pid=0))
    with owned(settings):
        assert "it waits for this engine to end" in (await service_control.look(settings, ())).seen


@pytest.mark.parametrize(
    ("action", "body", "call"),
    [
        ("stop", unit(), "systemctl stop --no-block vmdeck.service"),
        ("restart", unit(), "systemctl restart --no-block vmdeck.service"),
        ("disable", unit(), "systemctl disable vmdeck.service"),
        ("enable", unit(enabled="disabled"), "systemctl enable vmdeck.service"),
        ("start", unit(active="inactive", sub="dead", pid=0), "systemctl start --no-block vmdeck.service"),
    ],
)
async def test_an_action_is_handed_to_systemd(action: ServiceAction, body: str, call: str, running: Commands) -> None:
    running.add("systemctl", body)
    await service_control.control(action)
    assert running.changing() == [call]


async def test_a_service_that_failed_too_often_can_be_started(running: Commands) -> None:
    running.add("systemctl", unit(active="failed", sub="failed", pid=0))
    await service_control.control("start")
    assert running.changing() == [
        "systemctl reset-failed vmdeck.service",
        "systemctl start --no-block vmdeck.service",
    ]


async def test_what_makes_no_sense_now_is_refused_with_the_state(running: Commands) -> None:
    with pytest.raises(NotReadyError, match=r"can't be told to start: it is active \(running\)"):
        await service_control.control("start")
    assert running.changing() == []


async def test_systemds_own_words_are_passed_on(running: Commands, settings: Settings) -> None:
    running.add("systemctl", f"{unit()}\ncase $1 in stop) echo Access denied >&2; exit 4;; esac")
    with pytest.raises(NotReadyError, match="Access denied"):
        await service_control.control("stop")
    running.add("systemctl", "echo Failed to connect to bus >&2", status=1)
    state = await service_control.look(settings, ADDRESSES)
    assert (state.systemd, state.actions, state.addresses) == (True, (), ADDRESSES)
    assert "Failed to connect to bus" in state.seen


async def test_that_there_is_a_token_is_told_without_it(commands: Commands, tmp_path: object) -> None:
    state = await service_control.look(Settings(api_token="s3cret"), ())
    assert state.has_token
    assert "s3cret" not in repr(state)
