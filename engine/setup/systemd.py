"""systemd as this host has it: whether it runs, and the calls that change units."""

from __future__ import annotations

from pathlib import Path

from engine.errors import NotReadyError
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError
from engine.rootfs.progress import Progress, silent

UNIT = "vmdeck.service"  # our own
RUNNING = Path("/run/systemd/system")  # sd_booted(3)
CGROUPS = Path("/proc/self/cgroup")


def has_systemd() -> bool:
    return RUNNING.is_dir()


def runs_as(unit: str) -> bool:
    """Whether this very process belongs to ``unit``."""
    try:
        return any(unit in line.split("/") for line in CGROUPS.read_text().splitlines())
    except OSError:
        return False


def refuse_inside(what: str, command: str) -> None:
    """Raises NotReadyError in the service itself, whose unit keeps it from ``what``; the remedy is ``command``."""
    if runs_as(UNIT):
        raise NotReadyError(
            f"The service may not {what}",
            remedy=f"Run: systemctl stop {UNIT}; {command}; systemctl start {UNIT}",
        )


async def is_known(unit: str) -> bool:
    """Whether systemd has a unit of this name."""
    return (await shown(unit, "LoadState")).get("LoadState") != "not-found"


async def systemctl(*args: str, progress: Progress = silent) -> str:
    """What `systemctl` says. Raises NotReadyError with its own words."""
    try:
        return await command.run(["systemctl", *args], progress=progress, package="systemd")
    except CommandFailedError as error:
        raise NotReadyError(
            f"systemctl {' '.join(args)}: {error.output.strip() or error.message}",
            remedy="Look at `journalctl -xe`, mend what it names, then try again",
        ) from error


async def shown(unit: str, *names: str) -> dict[str, str]:
    """Properties of ``unit``; an unknown unit has some too, LoadState "not-found" among them."""
    told = await systemctl("show", unit, f"--property={','.join(names)}")
    return {name: value for line in told.splitlines() for name, equals, value in [line.partition("=")] if equals}
