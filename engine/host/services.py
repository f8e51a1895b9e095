"""Checks of services around vmdeck: the Docker engine, and vmdeck's own unit."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

from engine.host import command
from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.os_release import has_apt

_UNIX = "unix://"
_DOCKER_SOCKET = "docker.sock"
_PING = b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n"
_ANSWER_BYTES = 8192
ANSWER_DEADLINE_S = 1.0
_SERVER = re.compile(r"^server: *(\S+)", re.IGNORECASE | re.MULTILINE)
_UNIT = "vmdeck.service"
_SYSTEMD = "systemd/system"  # below /run: sd_booted(3)


async def docker(around: Surroundings) -> Finding:
    """Asks the engine for a sign of life, where it listens on a unix socket."""
    named = os.environ.get("DOCKER_HOST", "")
    if named and not named.startswith(_UNIX):
        return info(f"DOCKER_HOST names an engine by {named.partition(':')[0]}; not tried")
    socket = Path(named.removeprefix(_UNIX)) if named else around.run / _DOCKER_SOCKET
    try:
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            answer = await _ping(socket)
    except PermissionError:
        return info(f"{socket} may not be opened by this user", "As root: usermod -aG docker USER, then log in again.")
    except FileNotFoundError:
        return _no_docker(around)
    except (OSError, TimeoutError) as error:
        how = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        return degraded(f"{socket}: {how}; images can't come from Docker", by_hand=True)
    if not re.match(r"HTTP/1\.[01] 200\b", answer):
        return degraded(f"{socket}: answers {answer.partition(chr(10))[0].strip()[:60]!r}", by_hand=True)
    server = _SERVER.search(answer)
    return ok(f"{server[1] if server else 'answers'} at {socket}")


def _no_docker(around: Surroundings) -> Finding:
    """Setup starts an engine where systemd would, and installs one where it can install at all."""
    here = shutil.which("dockerd") is not None
    seen = f"{'installed, but not running' if here else 'not installed'}; needed only for images from Docker"
    if not (around.run / _SYSTEMD).is_dir():
        return info(f"{seen}; without systemd nothing would start it", "Start one by other means.", by_hand=True)
    if not here and not has_apt():
        return info(seen, "Install one by this distribution's own means.", by_hand=True)
    return info(seen, "Start the service docker, or run: vmdeck setup")


async def _ping(socket: Path) -> str:
    """Raises OSError where nobody listens."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(_PING)
        await writer.drain()
        return (await reader.read(_ANSWER_BYTES)).decode("latin-1")
    finally:
        writer.close()


async def service(around: Surroundings) -> Finding:
    if not (around.run / _SYSTEMD).is_dir():
        return info("no systemd here; start the daemon by other means: vmdeck serve")
    if not (around.etc / "systemd" / "system" / _UNIT).exists():
        return info("not installed", "To have the daemon from boot on: vmdeck service install")
    state = (await command.output(["systemctl", "is-active", _UNIT], deadline_s=ANSWER_DEADLINE_S)).stdout.strip()
    if state == "active":
        return ok("active")
    if state == "failed":
        return degraded("failed", f"See why: journalctl -u {_UNIT} -n 50", by_hand=True)
    return info(f"installed, {state or 'state unknown'}", f"To start it: systemctl start {_UNIT}", by_hand=True)
