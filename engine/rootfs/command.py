"""One external program, run to its end: its lines are streamed, its failure becomes an error that quotes it.

The program gets its own process group and no standard input. Whatever ends the caller, cancellation included,
ends the whole group before control leaves here. Arguments never pass a shell.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import InternalError, NotReadyError
from engine.rootfs.progress import Progress, silent

TAIL_LINES = 40  # kept of what a program said, for whoever reads it for the cause
SHOWN_LINES = 6  # quoted in the message
LINE_BYTES = 64 * 1024
TERM_GRACE_S = 10.0  # for a program that was asked to end
KILL_GRACE_S = 2.0  # for the kernel to end what was killed
_SYSTEM_PATH = "/usr/sbin:/sbin"  # where mkfs.ext4 is, and what a user's PATH often lacks
_PRIVATE = ("VMDECK_", "AWS_")
NO_SPACE = "No space left on device"


class CommandFailedError(InternalError):
    """A program ended with a status that is not 0; ``output`` is the end of what it said, ``shown`` the end of that."""

    kind = "command-failed"
    title = "A program failed"

    def __init__(self, program: str, status: int, output: str) -> None:
        self.output = output
        self.shown = "\n".join(output.splitlines()[-SHOWN_LINES:]) or f"it said nothing, and ended with status {status}"
        super().__init__(f"{program} failed with status {status}: {self.shown}", status=status)


def find(program: str) -> str | None:
    """Path of ``program`` as ``run`` would find it."""
    return shutil.which(program, path=_path())


async def run(
    argv: Sequence[str | Path],
    *,
    progress: Progress = silent,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    package: str | None = None,
    pass_fds: Sequence[int] = (),
) -> str:
    """Standard output of ``argv``, at most its last 4 MiB; each line of output and error goes to ``progress`` too.

    ``env`` adds to the environment, which has none of VMDECK_* and AWS_*. ``package`` is the Debian package to name
    where the program is missing; it gets the descriptors ``pass_fds`` too.
    Raises NotReadyError (no such program, disk full) and CommandFailedError.
    """
    program = str(argv[0])
    try:
        process = await asyncio.create_subprocess_exec(
            *map(str, argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env={**_environment(), "PATH": _path(), "LC_ALL": "C.UTF-8", **(env or {})},
            start_new_session=True,
            pass_fds=pass_fds,
            limit=LINE_BYTES,
        )
    except (FileNotFoundError, PermissionError) as error:
        remedy = f"Install it: apt-get install {package}" if package else f"Put {program} on the PATH"
        raise NotReadyError(f"{program} can't be started: {error.strerror}", remedy=remedy) from None
    assert process.stdout is not None  # noqa: S101 -- both were asked for as pipes above
    assert process.stderr is not None  # noqa: S101
    output: deque[str] = deque(maxlen=65536)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    drains = [
        asyncio.create_task(_drain(process.stdout, progress, (output, tail))),
        asyncio.create_task(_drain(process.stderr, progress, (tail,))),
    ]
    try:
        await asyncio.gather(*(asyncio.shield(drain) for drain in drains))
        status = await process.wait()
    finally:
        await asyncio.shield(asyncio.ensure_future(_end_group(process, drains)))
    if status == 0:
        return "\n".join(output)
    said = "\n".join(tail)
    if NO_SPACE in said:
        raise NotReadyError(f"{program} found no space left on the disk", remedy="Free some room and try again")
    raise CommandFailedError(Path(program).name, status, said)


def _environment() -> dict[str, str]:
    """Ours without what may be secret: packages' own scripts run under apt and mmdebstrap."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATH}"


async def _drain(stream: asyncio.StreamReader, progress: Progress, into: Sequence[deque[str]]) -> None:
    while True:
        try:
            data = await stream.readline()
        except ValueError:  # a line over the limit: the reader has dropped what it held of it
            continue
        if not data:
            return
        # Tools draw progress bars with carriage returns: the last state of such a line is its text.
        line = data.decode(errors="replace").rstrip().rsplit("\r", 1)[-1]
        for lines in into:
            lines.append(line)
        if line:
            progress(line)


async def _end_group(process: asyncio.subprocess.Process, drains: Sequence[asyncio.Task[None]]) -> None:
    """End what is left of the program's group: asked first, since tools remove their own mounts and files then.

    All of the group hold the pipes, so that the end of both is the end of all. One that left the group and kept a
    pipe is not waited for.
    """
    _signal_group(process.pid, signal.SIGTERM)
    _done, running = await asyncio.wait(drains, timeout=TERM_GRACE_S)
    _signal_group(process.pid, signal.SIGKILL)
    if running:
        _done, running = await asyncio.wait(drains, timeout=KILL_GRACE_S)
    for drain in running:
        drain.cancel()
    if not running:
        await process.wait()


def _signal_group(pgid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pgid, number)
