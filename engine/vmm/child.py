"""A VMM process as a child of this engine: its start, its end, what it says meanwhile, and that it never outlives us.

asyncio's own subprocesses take a millisecond longer to start, for before Python 3.12 each gets a thread that waits for
it. Here the kernel tells of the end through a pidfd.

The lifeline: its standard input is a pipe into which nobody writes, and whose only writer is this engine. The kernel is
told to kill the process for any event on it (O_ASYNC, F_SETSIG of fcntl(2)), and the one that ever comes is that the
writer is gone: this engine has ended, be it by kill -9. PR_SET_PDEATHSIG would do less: it is forgotten when a jailer
changes the user, and it takes one more program in between to ask for it, which takes as long as Firecracker's start.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from engine.vmm.tail import Tail


class Child:
    """A running process. Whoever starts it awaits ``end``, however it came to its end."""

    def __init__(self, command: Sequence[str], folder: Path, *, stdout: Tail, stderr: Tail) -> None:
        """Start it in ``folder``, in any thread; what it writes goes to the tails once ``follow`` runs.

        Raises OSError.
        """
        self._ears: list[tuple[int, Tail]] = []
        self._followers: list[asyncio.Task[None]] = []
        self._over: asyncio.Future[int] | None = None
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as failed:
            failed.callback(self._close_ears)
            lifeline, self._lifeline = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, lifeline)
            failed.callback(os.close, self._lifeline)
            outputs = [self._pipe_to(tail, theirs) for tail in (stdout, stderr)]
            fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
            self._process = subprocess.Popen(
                command,
                stdin=lifeline,
                stdout=outputs[0],
                stderr=outputs[1],
                cwd=folder,
                env={"PATH": os.defpath},  # the engine's variables may hold secrets, and none concerns a VMM
                start_new_session=True,  # a Ctrl-C at the terminal is for the engine, which then ends its VMs
            )
            failed.callback(self._process.wait)
            failed.callback(self._process.kill)
            # An engine killed right here leaves a process to the next one's reaping.
            fcntl.fcntl(lifeline, fcntl.F_SETOWN, self._process.pid)
            self._pidfd = os.pidfd_open(self._process.pid)
            failed.pop_all()

    def _pipe_to(self, tail: Tail, theirs: contextlib.ExitStack) -> int:
        ours, other = os.pipe2(os.O_CLOEXEC)
        theirs.callback(os.close, other)
        os.set_blocking(ours, False)
        self._ears.append((ours, tail))
        return other

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        """False once its end was noticed."""
        return self._over is None or not self._over.done()

    def listen(self, fd: int, tail: Tail) -> None:
        """To a further pipe of the process, which is ours to close from now on; before ``follow``."""
        self._ears.append((fd, tail))

    def follow(self) -> None:
        """Read what it writes and wait for its end, from now on, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        loop.add_reader(self._pidfd, self._has_ended, self._over)
        self._followers = [asyncio.create_task(tail.follow_pipe(fd)) for fd, tail in self._ears]

    async def ended(self) -> str:
        """Return when it has ended, and all it said is in the tails: "signal 9", "status 1"."""
        if self._over is None:
            self.follow()
        assert self._over is not None  # noqa: S101 - follow made it
        code = await asyncio.shield(self._over)
        for fd, tail in self._ears:
            tail.drain(fd)
            tail.end()
        return f"signal {-code}" if code < 0 else f"status {code}"

    async def end(self) -> None:
        """Kill it, and return when nothing of it is left."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self.ended()
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)
        os.close(self._lifeline)
        self._close_ears()

    def _has_ended(self, over: asyncio.Future[int]) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        over.set_result(self._process.wait())

    def _close_ears(self) -> None:
        for fd, _ in self._ears:
            os.close(fd)
        self._ears.clear()
