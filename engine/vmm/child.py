"""A VMM process as a child of this engine: its start, its end, and what it says meanwhile.

asyncio's own subprocesses take a millisecond longer to start, for before Python 3.12 each gets a thread that waits for
it. Here the kernel tells of the end through a pidfd.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from engine.vmm.tail import Tail


class Child:
    """A running process. Whoever starts it awaits ``end``, however it came to its end."""

    def __init__(self, command: Sequence[str], folder: Path, *, stdout: Tail, stderr: Tail) -> None:
        """Start it in ``folder``; what it writes goes to the tails once ``follow`` runs.

        Call it in the event loop's own thread: where the process asked to end with its parent, the kernel takes the
        thread that started it for that. Raises OSError.
        """
        self._ears: list[tuple[int, Tail]] = []
        self._followers: list[asyncio.Task[None]] = []
        theirs: list[int] = []
        try:
            for tail in (stdout, stderr):
                ours, other = os.pipe2(os.O_CLOEXEC)
                os.set_blocking(ours, False)
                self._ears.append((ours, tail))
                theirs.append(other)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=theirs[0],
                stderr=theirs[1],
                cwd=folder,
                env={"PATH": os.defpath},  # the engine's variables may hold secrets, and none concerns a VMM
                start_new_session=True,  # a Ctrl-C at the terminal is for the engine, which then ends its VMs
            )
        except BaseException:
            self._close_ears()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[int] = loop.create_future()
        self._pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(self._pidfd, self._has_ended)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._over.done()

    def listen(self, fd: int, tail: Tail) -> None:
        """To a further pipe of the process, which is ours to close from now on; before ``follow``."""
        self._ears.append((fd, tail))

    def follow(self) -> None:
        """Read what it writes, from now until its end."""
        self._followers = [asyncio.create_task(tail.follow_pipe(fd)) for fd, tail in self._ears]

    async def ended(self) -> str:
        """Return when it has ended, and all it said is in the tails: "signal 9", "status 1"."""
        code = await asyncio.shield(self._over)
        for fd, tail in self._ears:
            tail.drain(fd)
        return f"signal {-code}" if code < 0 else f"status {code}"

    async def end(self) -> None:
        """Kill it, and return when nothing of it is left. Idempotent."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self.ended()
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)
        self._close_ears()

    def _has_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._over.set_result(self._process.wait())

    def _close_ears(self) -> None:
        for fd, _ in self._ears:
            os.close(fd)
        self._ears.clear()
