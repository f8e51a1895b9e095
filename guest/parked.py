"""An interpreter that waits in the cell for its script: started before the snapshot, it becomes the run."""

from __future__ import annotations

import marshal
import os
import socket

from guest import cgroup, parked_python
from guest.cell import Cell
from guest.execution import Execution
from guest.static import Any

_PARK_S = 20.0


class ParkError(Exception):
    """The interpreter did not get as far as to wait."""


class Parked:
    """One interpreter, until it is a run or its cell has gone. ``memory_bytes`` is what it brings into its run."""

    def __init__(self, cell: Cell, number: int, argv: list[str], env: dict[str, str], null_fd: int) -> None:
        """Raises SpawnError, ParkError."""
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.group = cgroup.Group(f"park-{number}")
            procs = self.group.open_procs()
            try:
                fds = [null_fd, null_fd, null_fd, theirs.fileno()]
                self.pid = cell.spawn([*argv, "-c", parked_python.SOURCE], env, "/", fds, procs, {"core": 0})
            finally:
                os.close(procs)
        self.control.settimeout(_PARK_S)
        try:
            word = self.control.recv(64)
        except TimeoutError:
            word = b""
        if word != b"parked":
            raise ParkError("the interpreter did not park")
        self.memory_bytes = self.group.memory_now()

    def become(self, execution: Execution, null_fd: int, message: dict[str, Any]) -> None:
        """Hand it the run; it lays its script itself, which saves a turn through init."""
        procs = execution.group.open_procs()
        with self.control:
            data = marshal.dumps(message, parked_python.MARSHAL_VERSION)
            socket.send_fds(self.control, [data], [*execution.child_fds(null_fd), procs])
        os.close(procs)
        execution.pid = self.pid
        execution.brought_bytes = self.memory_bytes

    def end(self) -> None:
        """A program beside it could take it over (they have one uid), and with it a process outside of all limits."""
        self.control.close()
        self.group.kill()
