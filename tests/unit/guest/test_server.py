"""A server's start as the agent sees it: readiness is an answer, never a time, and what goes wrong is told in bounds.

The cell is this host: programs start as they are, and their ends are told as a cell's init tells them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from guest import cgroup
from guest.cell import Cell
from guest.server import Server, ServerError
from guest.spawn import SpawnError

_ENDLESS = ["sh", "-c", "yes"]


class HostCell:
    """The calls of a cell that a server needs."""

    def __init__(self) -> None:
        self._told, self._tell = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._told.setblocking(False)
        self._started: list[subprocess.Popen[bytes]] = []
        self._waiting: list[threading.Thread] = []

    def fileno(self) -> int:
        return self._told.fileno()

    def used_bytes(self) -> int:
        return 7

    def spawn(
        self, argv: list[str], env: dict[str, str], cwd: str, fds: list[int], procs_fd: int, rlimits: dict[str, int]
    ) -> int:
        try:
            child = subprocess.Popen(argv, env=env, cwd=cwd, stdin=fds[0], stdout=fds[1], stderr=fds[2])
        except OSError as error:
            raise SpawnError(error.errno or 0, f"cannot run {argv[0]}") from None
        self._started.append(child)
        self._waiting.append(threading.Thread(target=self._report, args=(child,)))
        self._waiting[-1].start()
        return child.pid

    def _report(self, child: subprocess.Popen[bytes]) -> None:
        code = child.wait()
        status = code << 8 if code >= 0 else -code
        self._tell.send(f"{child.pid} {status}".encode())

    def next_exit(self) -> dict[str, int] | None:
        try:
            pid, status = self._told.recv(64).split()
        except BlockingIOError:
            return None
        return {"pid": int(pid), "status": int(status)}

    def close(self) -> None:
        for child in self._started:
            child.kill()
        for thread in self._waiting:
            thread.join()
        self._told.close()
        self._tell.close()


class HostGroup:
    """A control group that limits nothing."""

    def __init__(self, name: str) -> None:
        self.removed = False

    def limit(self, memory_bytes: int, pids: int) -> None:
        pass

    def open_procs(self) -> int:
        return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)

    def out_of_memory(self) -> bool:
        return False

    def remove(self) -> None:
        self.removed = True


def _keep_owner(fd: int, uid: int, gid: int) -> None:
    pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(cgroup, "Group", HostGroup)
    if os.geteuid() != 0:
        monkeypatch.setattr(os, "fchown", _keep_owner)
    cell = HostCell()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    server = Server(cast("Cell", cell), 1, {"PATH": os.environ["PATH"]}, null, 1 << 30)
    try:
        yield server
    finally:
        cell.close()
        os.close(null)
        server.release()


def test_it_is_ready_once_it_answers_and_not_before(server: Server, tmp_path: Path) -> None:
    asked, answers = tmp_path / "asked", tmp_path / "answers"
    start = ["sh", "-c", f"while [ ! -s {asked} ]; do sleep 0.01; done; touch {answers}; exec sleep 1000"]
    ready = ["sh", "-c", f"echo >>{asked}; test -e {answers}"]
    server.start(start, ready, 30)
    assert (server.status, server.disk_bytes) == (None, 7)
    assert answers.exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sh", "-c", "echo no disk >&2; exit 3"], "it ended with code 3; the end of its output: no disk"),
        (["sh", "-c", "kill -SEGV $$"], "it ended by signal 11; it wrote nothing"),
        (["/no/server"], "cannot run /no/server"),
    ],
)
def test_one_that_ends_is_told_at_once_with_its_last_words(server: Server, argv: list[str], said: str) -> None:
    began = time.monotonic()
    with pytest.raises(ServerError, match=f"^{said}$"):
        server.start(argv, ["false"], 1000)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("ready", [["false"], ["sleep", "1000"]], ids=["says no", "says nothing"])
def test_one_that_does_not_answer_is_given_up_at_the_deadline(server: Server, ready: list[str]) -> None:
    with pytest.raises(ServerError, match=r"^it did not answer within 0\.3 s; it wrote nothing$"):
        server.start(["sleep", "1000"], ready, 0.3)


def test_a_check_that_cannot_be_run_is_told(server: Server) -> None:
    with pytest.raises(ServerError, match="cannot run /no/check"):
        server.start(["sleep", "1000"], ["/no/check"], 1000)


def test_what_it_writes_without_end_neither_stops_it_nor_is_kept(server: Server) -> None:
    with pytest.raises(ServerError) as refused:
        server.start(_ENDLESS, ["false"], 1)
    assert len(str(refused.value)) < 1200


def test_it_may_write_more_than_a_pipe_holds_before_it_answers(server: Server, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    start = ["sh", "-c", f"head -c 1000000 /dev/zero; touch {answers}; exec sleep 1000"]
    server.start(start, ["test", "-e", str(answers)], 30)
    assert answers.exists()


def test_one_that_has_closed_its_output_is_not_listened_to_any_more(server: Server) -> None:
    server.start(["sh", "-c", "exec sleep 1000 >&- 2>&-"], ["true"], 30)
    deadline = time.monotonic() + 30
    while server.fd >= 0 and time.monotonic() < deadline:
        server.drain()
    assert server.fd == -1
