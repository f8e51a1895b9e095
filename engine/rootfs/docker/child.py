"""Work on Docker's images is done in processes of our own: the library blocks, and unpacking is all computing.

A process can be ended at any moment, which a thread can't, and neither takes the engine's time. What it has to say is
a JSON object per line of its output: ``line`` and ``fraction`` of progress, ``bytes`` moved, a ``problem`` document, or
the ``result``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from engine import problem
from engine.errors import InternalError, NotReadyError, VmdeckError
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError
from engine.rootfs.progress import Progress, bytes_moved
from engine.rootfs.staging import explained

_NO_NAMESPACE = re.compile(r"unshare: .*|new[ug]idmap: .*")


# --- the engine's side


async def ask(
    module: str,
    arguments: Sequence[str | Path],
    progress: Progress,
    *,
    pipe: int | None = None,
    prefix: Sequence[str] = (),
) -> Mapping[str, Any]:
    """The result of ``python -m module arguments``, to which the descriptor ``pipe``, if any, is passed on.

    ``prefix`` goes before the command. Raises what the process met, as it said it.
    """
    heard = _Heard(progress)
    argv = [*prefix, sys.executable, "-P", "-m", module, *arguments]
    try:
        await command.run(argv, progress=heard, pass_fds=() if pipe is None else (pipe,))
    except (CommandFailedError, NotReadyError) as error:
        if heard.problem is not None:
            raise problem.to_error(heard.problem) from error
        if isinstance(error, CommandFailedError) and (said := _NO_NAMESPACE.search(error.output)):
            raise NotReadyError(
                f"No user namespace to unpack in: {said[0]}",
                remedy=f"Install uidmap and give user {os.getuid()} a range in /etc/subuid and /etc/subgid, or be root",
            ) from error
        raise
    if heard.result is None:
        raise InternalError(f"{module} ended without a result")
    return heard.result


class _Heard:
    """Takes a process' lines apart; what is no JSON, such as a traceback, is a line of the log."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.result: Mapping[str, Any] | None = None
        self.problem: Mapping[str, Any] | None = None

    def __call__(self, line: str, fraction: float | None = None) -> None:
        said = _object(line)
        if said is None:
            self._progress(line, fraction)
            return
        if "line" in said or "fraction" in said:
            self._progress(said.get("line", ""), said.get("fraction"))
        if "bytes" in said:
            bytes_moved.get()(said["bytes"])
        self.result = said.get("result", self.result)
        self.problem = said.get("problem", self.problem)


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


# --- the process' side


def say(line: str, fraction: float | None = None) -> None:
    """Progress, as the engine's own calls of it."""
    _tell({"line": line, "fraction": fraction})


def say_reached(fraction: float) -> None:
    _tell({"fraction": fraction})


def say_bytes(done: int) -> None:
    _tell({"bytes": done})


def run(work: Callable[[Sequence[str]], Mapping[str, Any]]) -> NoReturn:
    """Do the work with the arguments of this process, tell its result or what went wrong, and end.

    SIGTERM ends it as an exception does, so that it cleans up.
    """
    signal.signal(signal.SIGTERM, _end)
    try:
        result = work(sys.argv[1:])
    except VmdeckError as error:
        _refuse(error)
    except OSError as error:
        _refuse(explained(error, Path(error.filename or ".")))
    _tell({"result": result})
    sys.exit(0)


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _refuse(error: VmdeckError) -> NoReturn:
    _tell({"problem": json.loads(problem.from_error(error).json())})
    sys.exit(1)


def _tell(said: Mapping[str, Any]) -> None:
    print(json.dumps(said), flush=True)
