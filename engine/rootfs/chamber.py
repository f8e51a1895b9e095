"""Commands inside a tree that becomes an image: as its root, without network, and with nothing left of them after.

What runs there is of packages that anyone may have published, so it has less than root: processes, network and mounts
of its own, none of the capabilities that reach beyond files, and a /proc that can't be written.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import InternalError, NotReadyError
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError
from engine.rootfs.namespace import namespace
from engine.rootfs.progress import Progress
from engine.rootfs.version_line import version_line

_INIT = Path(__file__).with_name("chamber_init.py")
_VERSION_BYTES = 16 * 1024
_VERSION_DEADLINE_S = 60.0  # a JVM's first start, on a busy host


async def run_inside(tree: Path, argv: Sequence[str], env: Mapping[str, str], progress: Progress) -> None:
    """Raises InternalError where the command fails, NotReadyError where the disk is full."""
    try:
        await command.run(_inside(tree, argv, env, None), progress=progress, package="util-linux")
    except CommandFailedError as error:
        raise InternalError(
            f"{argv[0]} failed while the image was prepared: {error.shown}",
            remedy="Read the log above; the command is of the language's table in the catalogue",
        ) from error


async def ask_version(tree: Path, argv: Sequence[str], env: Mapping[str, str]) -> str:
    """What a tool of the tree says of itself, in one line. Raises NotReadyError where it says nothing of use."""
    try:
        async with asyncio.timeout(_VERSION_DEADLINE_S):
            said = await command.run(_inside(tree, argv, env, _VERSION_BYTES), package="util-linux")
    except TimeoutError:
        raise _no_version(argv, f"it was not done after {_VERSION_DEADLINE_S:g} s") from None
    except CommandFailedError as error:
        raise _no_version(argv, error.shown) from error
    line = version_line(said)
    if line is None:
        raise _no_version(argv, f"it said {said[:200]!r}")
    return line


def _inside(tree: Path, argv: Sequence[str], env: Mapping[str, str], most_bytes: int | None) -> list[str]:
    order = {"tree": str(tree), "argv": list(argv), "env": dict(env), "most_bytes": most_bytes}
    prefix = namespace("--net", "--ipc", "--uts")
    return [*prefix, sys.executable, "-I", "-S", str(_INIT), json.dumps(order)]


def _no_version(argv: Sequence[str], reason: str) -> NotReadyError:
    return NotReadyError(
        f"{argv[0]} does not tell its version in the new image: {reason}",
        remedy="The language's packages do not fit its table in the catalogue: see `packages` and `version` there",
    )
