"""The service as the console and HTTP show and steer it: what systemd says of our unit, and what it can be told now."""

from __future__ import annotations

from engine.errors import NotReadyError
from engine.folders import is_root
from engine.lock import held_by_this_process
from engine.models import ServiceAction, ServiceState
from engine.rootfs.progress import silent
from engine.settings import Settings
from engine.setup import service
from engine.setup.service import UnitState
from engine.setup.systemd import UNIT, has_systemd, systemctl

_NEVER_WAITED_FOR: tuple[ServiceAction, ...] = ("start", "stop", "restart")
"""systemctl would wait for what may need this very engine to end: the daemon that is stopped, or the lock's owner."""


async def look(settings: Settings, addresses: tuple[str, ...]) -> ServiceState:
    """The service, and ``addresses``, where this engine listens."""
    facts = ServiceState(
        systemd=has_systemd(), installed=False, seen="", addresses=addresses, has_token=bool(settings.api_token)
    )
    if not facts.systemd:
        return facts.model_copy(update={"seen": "systemd does not run here, so there is no service"})
    try:
        unit = await service.status()
    except NotReadyError as error:
        return facts.model_copy(update={"seen": error.message})
    return facts.model_copy(
        update={
            "installed": unit.installed,
            "active": unit.runs,
            "enabled": unit.enabled,
            "seen": _seen(unit, settings),
            "actions": _actions(unit),
        }
    )


async def control(action: ServiceAction) -> None:
    """Raises NotReadyError where systemd does not run, the action can't be taken now, or systemd refuses."""
    service.require_systemd()
    unit = await service.status()
    if action not in _actions(unit):
        raise NotReadyError(
            f"{UNIT} can't be told to {action}: it is {_state(unit)}",
            remedy="" if unit.installed else "Install it: vmdeck service install",
        )
    if action in ("start", "restart") and unit.failed:  # too often in a short time, which would refuse a start too
        await systemctl("reset-failed", UNIT, progress=silent)
    await systemctl(action, *(["--no-block"] if action in _NEVER_WAITED_FOR else []), UNIT)


def _seen(unit: UnitState, settings: Settings) -> str:
    seen = f"{UNIT} is {_state(unit)}"
    if not unit.installed:
        return f"{seen}: `vmdeck service install` installs it"
    if not is_root():
        seen += "; only root may steer it"
    if unit.tries and not unit.runs and held_by_this_process(settings.lock_path):
        seen += "; it waits for this engine to end"
    elif not unit.runs:
        seen += f"; journalctl -u {UNIT} says why" if unit.failed else ""
    return seen


def _state(unit: UnitState) -> str:
    if not unit.installed:
        return "not installed"
    process = f", process {unit.pid}" if unit.pid else ""
    return f"{unit.state}{process}, {'enabled' if unit.enabled else 'not enabled'}"


def _actions(unit: UnitState) -> tuple[ServiceAction, ...]:
    """What makes a difference now, to a user who may."""
    if not unit.installed or not is_root():
        return ()
    running: tuple[ServiceAction, ...] = ("stop", "restart") if unit.tries else ("start",)
    return (*running, "disable" if unit.enabled else "enable")
