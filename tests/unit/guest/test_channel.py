"""The agent's two ways to the host, on this host's own sockets and files."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import channel
from guest.channel import SerialPort, VsockPort

MUCH = bytes(1024 * 1024)


class Hosts:
    """The other ends of the port's connections."""

    def __init__(self, address: str, port: VsockPort) -> None:
        self._address = address
        self._port = port
        self.all: list[socket.socket] = []

    def connected(self) -> socket.socket:
        host = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.all.append(host)
        host.settimeout(10)
        host.connect(self._address)
        assert self._port.accept()
        return host


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "s")


@pytest.fixture
def port(address: str) -> Iterator[VsockPort]:
    """Listening on a unix socket: connections begin and end on it as on vsock."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen()
        yield VsockPort(listener)


@pytest.fixture
def hosts(address: str, port: VsockPort) -> Iterator[Hosts]:
    hosts = Hosts(address, port)
    yield hosts
    for each in hosts.all:
        each.close()
    port.read()  # which notices, and closes its end


def test_bytes_go_both_ways(port: VsockPort, hosts: Hosts) -> None:
    host = hosts.connected()
    host.sendall(b"question")
    assert port.read() == b"question"
    assert port.write(bytearray(b"answer")) == 6
    assert host.recv(64) == b"answer"


def test_neither_reading_nor_writing_waits(port: VsockPort, hosts: Hosts) -> None:
    hosts.connected()
    assert port.read() == b""
    while port.write(MUCH):
        pass
    assert port.fd >= 0, "a host that does not read is still there"


def test_without_a_host_there_is_nothing_to_read_write_or_accept(port: VsockPort) -> None:
    assert (port.fd, port.read(), port.write(b"x"), port.accept()) == (-1, b"", 0, False)


def test_the_end_of_a_connection_is_noticed_by_reading(port: VsockPort, hosts: Hosts) -> None:
    hosts.connected().close()
    assert port.read() == b""
    assert port.fd == -1


def test_what_was_said_before_the_end_is_read(port: VsockPort, hosts: Hosts) -> None:
    host = hosts.connected()
    host.sendall(b"last words")
    host.close()
    assert (port.read(), port.read(), port.fd) == (b"last words", b"", -1)


def test_a_reset_is_an_end(port: VsockPort, hosts: Hosts) -> None:
    host = hosts.connected()
    port.write(b"never read")
    host.close()  # with bytes unread in it: the other end gets ECONNRESET
    assert port.read() == b""
    assert port.fd == -1


def test_the_end_of_a_connection_is_noticed_by_writing(port: VsockPort, hosts: Hosts) -> None:
    hosts.connected().close()
    assert port.write(b"x") == 0
    assert port.fd == -1


def test_the_next_host_is_heard_after_one_was_lost(port: VsockPort, hosts: Hosts) -> None:
    hosts.connected().close()
    port.read()
    hosts.connected().sendall(b"hello again")
    assert port.read() == b"hello again"


def test_a_new_host_takes_the_place_of_the_old_one(port: VsockPort, hosts: Hosts) -> None:
    old = hosts.connected()
    old.sendall(b"old")
    new = hosts.connected()
    new.sendall(b"new")
    assert port.read() == b"new"
    with pytest.raises(ConnectionResetError):  # its words were dropped unread
        old.recv(64)


def test_a_waiting_host_wakes_who_polls_the_listener(address: str, port: VsockPort) -> None:
    poll = select.poll()
    poll.register(port.listener, select.POLLIN)
    assert poll.poll(0) == []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as host:
        host.connect(address)
        assert poll.poll(0) == [(port.listener, select.POLLIN)]


def test_a_serial_port_that_reads_as_empty_has_not_ended() -> None:
    """As a virtio port does while its host end is closed; /dev/null is always so."""
    port = SerialPort("/dev/null")
    try:
        assert port.read() == b""
        assert port.fd >= 0
        assert not port.accept()
    finally:
        os.close(port.fd)


def test_a_serial_port_waits_for_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "port")
    port = SerialPort(str(tmp_path / "port"))
    try:
        assert port.read() == b""
        assert port.write(b"there") == 5
        assert port.read() == b"there"
        while port.write(MUCH):
            pass
        assert port.fd >= 0
    finally:
        os.close(port.fd)


@pytest.mark.parametrize(
    ("devices", "found"),
    [
        ({}, False),
        ({"virtio0": 3, "virtio1": 2, "virtio2": 4}, False),
        ({"virtio0": 2, "virtio1": 19}, True),
    ],
    ids=["none", "others", "vsock"],
)
def test_a_vsock_device_is_known_by_its_number(
    devices: dict[str, int], found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in devices.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "device").write_text(f"0x{number:04x}\n")
    monkeypatch.setattr(channel, "_VIRTIO_DEVICES", str(tmp_path))
    assert channel.has_vsock() is found


def test_a_machine_without_virtio_has_no_vsock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_VIRTIO_DEVICES", str(tmp_path / "absent"))
    assert not channel.has_vsock()
