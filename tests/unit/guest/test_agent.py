"""The agent's loop as its hosts see it: the real one, in a process of its own, listening on a unix socket."""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import protocol
from guest.protocol import Decoder, Frame

CHILD = """
import socket, sys
from guest.agent import Agent
from guest.channel import VsockPort
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listens", flush=True)
    Agent(VsockPort(listener), {"version": 1}, 1 << 30).serve()
"""
_DEADLINE_S = 30.0
Connect = Callable[[], "Host"]


class Host:
    """One connection to the agent."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(_DEADLINE_S)
        self.socket.connect(path)
        self._decoder = Decoder()
        self._frames: list[Frame] = []

    def next(self) -> Frame:
        while not self._frames:
            data = self.socket.recv(65536)
            assert data, "the agent hung up"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def ask(self, data: bytes) -> None:
        """Return once the agent has taken all of it."""
        self.socket.sendall(data)
        deadline = time.monotonic() + _DEADLINE_S
        while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)))[0]:
            assert time.monotonic() < deadline, "the agent does not read"
            time.sleep(0.001)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    path = str(tmp_path / "agent")
    hosts: list[Host] = []

    def connect() -> Host:
        hosts.append(Host(path))
        return hosts[-1]

    with subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE) as agent:
        try:
            assert agent.stdout is not None
            assert agent.stdout.readline() == b"listens\n"
            yield connect
        finally:
            agent.kill()
            for host in hosts:
                host.socket.close()


def stats(op: int) -> bytes:
    return protocol.encode(protocol.STATS, op)


@pytest.mark.parametrize("leaves", [True, False], ids=["gone", "still there"])
def test_each_host_is_greeted_first_and_then_answered(connect: Connect, *, leaves: bool) -> None:
    for op in range(1, 4):
        host = connect()
        assert host.next().type == protocol.HELLO
        host.ask(stats(op))
        assert host.next().op == op
        if leaves:
            host.socket.close()


@pytest.mark.parametrize("leaves", [True, False], ids=["gone", "still there"])
def test_half_a_request_of_one_host_is_not_put_before_the_next_ones(connect: Connect, *, leaves: bool) -> None:
    first = connect()
    first.ask(stats(1)[:-1])
    if leaves:
        first.socket.close()
    second = connect()
    assert second.next().type == protocol.HELLO
    second.ask(stats(2))
    assert second.next().op == 2


@pytest.mark.parametrize("leaves", [True, False], ids=["gone", "still there"])
def test_answers_that_one_host_did_not_read_are_not_told_to_the_next(connect: Connect, *, leaves: bool) -> None:
    first = connect()
    for op in range(1, 101):  # their answers fill what a socket holds many times
        first.ask(stats(op) * 100)
    if leaves:
        first.socket.close()
    second = connect()
    assert second.next().type == protocol.HELLO
    second.ask(stats(0))
    assert second.next().op == 0


def test_what_is_not_the_protocol_ends_the_agent(connect: Connect) -> None:
    host = connect()
    assert host.next().type == protocol.HELLO
    host.socket.sendall(bytes(8))
    assert host.socket.recv(64) == b""
    with pytest.raises(ConnectionRefusedError):
        connect()
