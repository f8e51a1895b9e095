"""The cell: namespaces and a writable layer over the image, in which user code runs; seen from the agent.

A cell is made by two forks: the first leaves the agent's namespaces, the second is process 1 of the new PID namespace
(cellinit.py). The agent keeps a socket to it; all that is writable lies in one tmpfs whose size the agent can set.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Mapping

from guest import cellinit, syscalls
from guest.spawn import SpawnError

CELLS = "/cells"
_NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWCGROUP
)


class CellLostError(Exception):
    """The cell's init is gone or does not answer."""


class Cell:
    """One cell. Calls wait for the answer of its init; exits of programs are taken with ``next_exit``."""

    def __init__(self, number: int) -> None:
        self.home = f"{CELLS}/{number}"
        self._tmpfs_bytes = 0
        self._exits: list[dict[str, int]] = []
        os.makedirs(self.home)
        syscalls.mount("tmpfs", self.home, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = ours
        ours.settimeout(10)
        pid_read, pid_write = os.pipe2(os.O_CLOEXEC)
        first = os.fork()
        if first == 0:
            ours.close()
            _leave(theirs, self.home, pid_write)
        theirs.close()
        os.close(pid_write)
        with open(pid_read, "rb") as file:
            self._init_pid = int(file.read() or b"0")
        os.waitpid(first, 0)
        self._receive("ready")
        self._boot_id = os.open(self.home + "/boot_id", os.O_WRONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self.socket.fileno()

    def resize(self, tmpfs_bytes: int) -> None:
        """Set the size of everything writable. Raises OSError when more than that is in use."""
        if tmpfs_bytes == self._tmpfs_bytes:
            return
        self._tmpfs_bytes = tmpfs_bytes
        flags = syscalls.MS_REMOUNT | syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("tmpfs", self.home, "tmpfs", flags, f"size={tmpfs_bytes}")

    def used_bytes(self) -> int:
        """Of everything writable, what is in use."""
        now = os.statvfs(self.home)
        return (now.f_blocks - now.f_bfree) * now.f_frsize

    def set_boot_id(self, boot_id: str) -> None:
        """What the cell reads as the kernel's own; always of one length, "" before the first resync."""
        os.pwrite(self._boot_id, (boot_id + "\n").encode(), 0)

    def spawn(
        self, argv: list[str], env: dict[str, str], cwd: str, fds: list[int], procs_fd: int, rlimits: dict[str, int]
    ) -> int:
        """Start a program; its pid in the cell. Raises SpawnError."""
        message = {"do": "spawn", "argv": argv, "env": env, "cwd": cwd, "rlimits": rlimits}
        answer, _ = self._ask("spawned", message, fds=[procs_fd, *fds])
        if "pid" in answer:
            return int(str(answer["pid"]))
        raise SpawnError(int(str(answer["errno"])), str(answer["message"]))

    def put_file(self, path: str, mode: int, offset: int, data: bytes) -> None:
        self._file({"do": "put", "path": path, "mode": mode, "offset": offset}, data)

    def get_file(self, path: str, offset: int, length: int) -> bytes:
        return self._file({"do": "get", "path": path, "offset": offset, "length": length})[1]

    def list_files(self) -> object:
        return self._file({"do": "list"})[0]["files"]

    def next_exit(self) -> dict[str, int] | None:
        """An exit that init reported (pid, status), or None when there is none now. Raises CellLostError."""
        if not self._exits:
            self.socket.setblocking(False)
            try:
                self._receive("exited")
            except BlockingIOError:
                return None
            finally:
                self.socket.settimeout(10)
        return self._exits.pop(0)

    def destroy(self) -> None:
        """Kill everything in it and give back its memory."""
        self.socket.close()
        os.close(self._boot_id)
        if self._init_pid:
            os.kill(self._init_pid, signal.SIGKILL)
            os.waitpid(self._init_pid, 0)
            self._init_pid = 0
            syscalls.umount(self.home, syscalls.MNT_DETACH)
            os.rmdir(self.home)

    def _file(self, message: dict[str, object], data: bytes = b"") -> tuple[dict[str, object], bytes]:
        answer, body = self._ask("done", message, data)
        if "errno" in answer:
            raise OSError(int(str(answer["errno"])), str(answer["message"]))
        return answer, body

    def _ask(
        self, kind: str, message: Mapping[str, object], data: bytes = b"", fds: list[int] | None = None
    ) -> tuple[dict[str, object], bytes]:
        try:
            socket.send_fds(self.socket, [json.dumps(message).encode() + b"\n" + data], fds or [])
        except OSError as error:
            raise CellLostError(f"the cell's init is gone: {error}") from None
        return self._receive(kind)

    def _receive(self, kind: str) -> tuple[dict[str, object], bytes]:
        """Next message of that kind; exits that come before it are kept."""
        while True:
            try:
                packet = self.socket.recv(cellinit.MAX_PACKET)
            except TimeoutError:
                raise CellLostError("the cell's init does not answer") from None
            except ConnectionError as error:
                raise CellLostError(f"the cell's init is gone: {error}") from None
            if not packet:
                raise CellLostError("the cell's init is gone")
            head, _, body = packet.partition(b"\n")
            message = json.loads(head)
            if message["is"] == "exited":
                self._exits.append(message)
            if message["is"] == kind:
                return message, body
            if message["is"] == "broken":
                raise CellLostError(message["message"])


def _leave(sock: socket.socket, home: str, pid_write: int) -> None:
    """In the first fork: leave the agent's namespaces, start init, tell its pid. Never returns."""
    try:
        syscalls.unshare(_NAMESPACES)
        pid = os.fork()
        if pid == 0:
            os.close(pid_write)
            cellinit.run(sock, home)
        os.write(pid_write, str(pid).encode())
    finally:
        os._exit(0)
