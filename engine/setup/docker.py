"""The step that installs a Docker engine from the distribution's own package, where none answers yet."""

from __future__ import annotations

import asyncio
import time

from engine.folders import is_root
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.setup import system
from engine.setup.base import Finding, SetupContext, made
from engine.setup.distribution import Distribution, instructions
from engine.setup.systemd import has_systemd, shown

STEP = "docker"
PACKAGE = "docker.io"
UNIT = "docker.service"
ENABLE = ("systemctl", "enable", "--now", UNIT)
_PING_S = 2
_START_S = 30.0
_LOOK_AGAIN_S = 0.2


async def check(ctx: SetupContext) -> Finding:
    if STEP in ctx.options.skip:
        return Finding(False, "left out, as asked", skipped=True)
    version = await asyncio.to_thread(_answering)
    if version is not None:
        return Finding(True, f"Docker {version} answers")
    if not has_systemd():
        return Finding(False, "systemd does not run here, so nothing would start an engine", skipped=True)
    if not is_root():
        return Finding(False, "none answers this user, and installing or starting one needs root", skipped=True)
    if command.find("dockerd") is not None:
        return Finding(False, "it is installed and does not answer", (" ".join(ENABLE),))
    if not (distribution := Distribution.here()).by_package:
        return Finding(False, f"none here; on {distribution.name} it is yours to install", instructions((PACKAGE,)))
    return Finding(False, "none answers here", (" ".join((*system.INSTALL, PACKAGE)), " ".join(ENABLE)))


async def apply(ctx: SetupContext, progress: Progress) -> None:
    if command.find("dockerd") is None:
        await system.install(ctx, STEP, (PACKAGE,), progress)
    elif (await shown(UNIT, "UnitFileState")).get("UnitFileState") != "enabled":
        await in_thread(ctx.record, made(STEP, "service", UNIT))  # one that goes with its package needs no note
    await system.as_root(ENABLE, progress)


async def verify(ctx: SetupContext) -> Finding:
    """The engine as it answers within half a minute, or what systemd says of it."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        version = await asyncio.to_thread(_answering)
        if version is not None:
            return Finding(True, f"Docker {version} answers")
        await asyncio.sleep(_LOOK_AGAIN_S)  # its socket exists before it answers, so there is nothing to await
    try:
        state = await command.run(["systemctl", "is-active", "docker.service"])
    except CommandFailedError as error:
        state = error.output
    return Finding(False, f"the engine is {state.strip()} and did not answer within {_START_S:.0f} s")


def _answering() -> str | None:
    """Version of the engine that DOCKER_HOST or the usual socket leads to."""
    # A tenth of a second of imports, which no command but setup is to wait for.
    from docker import DockerClient
    from docker.errors import DockerException

    try:
        client = DockerClient.from_env(timeout=_PING_S)
    except DockerException:
        return None
    try:
        return str(client.version()["Version"])  # pyright: ignore[reportUnknownMemberType]
    except (DockerException, OSError, KeyError):
        return None
    finally:
        client.close()
