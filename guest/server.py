"""A server for the programs of a cell, such as a database: started before them, and running when the machine is saved.

It is confined as they are (the same user, namespaces and filter), but in a control group of its own: what it takes is
not counted as theirs. Nothing that it writes gets into their output. The end of that is kept, to tell what went wrong.
"""

from __future__ import annotations

import os
import select
import time

from guest import cgroup, protocol
from guest.cell import Cell
from guest.spawn import GROUP_ID, USER_ID, SpawnError

_PIDS = 512
_KEPT = 1000  # bytes of its output
_PAUSE_S = 0.05  # between two questions whether it answers: each is a new program, and takes CPU from the server


class ServerError(Exception):
    """The server does not serve; the message has the reason and the end of its output."""


class Server:
    """One server, from its start to the end of its cell. ``status`` is None while it runs."""

    def __init__(self, cell: Cell, number: int, env: dict[str, str], null_fd: int, memory_bytes: int) -> None:
        self.group = cgroup.Group(f"server-{number}")
        self.group.limit(memory_bytes, _PIDS)
        self.pid = 0
        self.status: int | None = None
        self.disk_bytes = 0  # of the cell's tmpfs, which it had taken when it was ready
        self.used = False
        self._cell = cell
        self._env = env
        self._null_fd = null_fd
        self._said = b""
        self.fd, self._write_fd = os.pipe2(os.O_CLOEXEC)
        os.fchown(self._write_fd, USER_ID, GROUP_ID)  # so that it can open /dev/stdout and /dev/stderr
        os.set_blocking(self.fd, False)

    def start(self, argv: list[str], ready: list[str], within_s: float) -> None:
        """Return once ``ready``, run again and again, has exited with 0. Raises ServerError."""
        deadline = time.monotonic() + within_s
        self.pid = self._spawn(argv)
        asking, ask_at, answers = 0, 0.0, False
        while not answers:
            while (gone := self._cell.next_exit()) is not None:
                if gone["pid"] == self.pid:
                    self.status = gone["status"]
                elif gone["pid"] == asking:
                    asking, ask_at, answers = 0, time.monotonic() + _PAUSE_S, gone["status"] == 0
            self.drain()
            if self.status is not None:
                raise ServerError(self.obituary())
            now = time.monotonic()
            if now >= deadline and not answers:
                raise ServerError(f"it did not answer within {within_s:g} s{self._last_words()}")
            if not asking and now >= ask_at:
                asking = self._spawn(ready)
            self._wait((deadline if asking else min(ask_at, deadline)) - now)
        os.close(self._write_fd)
        self._write_fd = -1
        self.disk_bytes = self._cell.used_bytes()

    def drain(self) -> None:
        """Take what it has written: a full pipe would stop it."""
        try:
            data = os.read(self.fd, protocol.CHUNK)
        except BlockingIOError:
            return
        if data:
            self._said = (self._said + data)[-_KEPT:]
        else:
            self._close()

    def obituary(self) -> str:
        """How it ended."""
        status = self.status or 0
        how = f"by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"with code {os.WEXITSTATUS(status)}"
        why = ", out of memory" if self.group.out_of_memory() else ""
        return f"it ended {how}{why}{self._last_words()}"

    def release(self) -> None:
        """Give back pipe and control group, after its cell has gone."""
        self._close()
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1
        self.group.remove()

    def _spawn(self, argv: list[str]) -> int:
        procs = self.group.open_procs()
        try:
            fds = [self._null_fd, self._write_fd, self._write_fd]
            return self._cell.spawn(argv, self._env, "/", fds, procs, {"core": 0})
        except SpawnError as error:
            raise ServerError(str(error)) from None
        finally:
            os.close(procs)

    def _wait(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self._cell.fileno(), select.POLLIN)
        poll.register(self.fd, select.POLLIN)
        poll.poll(max(1, timeout_s * 1000))

    def _last_words(self) -> str:
        said = self._said.decode(errors="replace").strip()
        return f"; the end of its output: {said}" if said else "; it wrote nothing"

    def _close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
