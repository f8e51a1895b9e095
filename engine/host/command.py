"""A short-lived program of the host, run for its output. Long work with progress does not belong here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

KILL_GRACE_S = 0.3

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Output:
    """What a program left behind. ``status`` is its exit status, minus the signal's number after a signal."""

    status: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last line it wrote, for an error message; standard error first."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1][:300] if lines else ""


async def output(argv: Sequence[str], *, deadline_s: float) -> Output:
    """Run ``argv`` without input and collect what it writes. The process is gone when this returns or raises.

    Raises TimeoutError after ``deadline_s`` seconds, and OSError where the program can't be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(deadline_s):
            stdout, stderr = await process.communicate()
    finally:
        await asyncio.shield(_end(process))
    return Output(process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs. One stuck in the kernel is named in the log; the event loop collects it when it ends."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    try:
        async with asyncio.timeout(KILL_GRACE_S):
            await process.wait()
    except TimeoutError:
        log.warning("process %d did not end within %.1f s of being killed", process.pid, KILL_GRACE_S)
