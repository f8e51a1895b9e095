"""The agent's way to the host: a virtio-serial port (QEMU) or a vsock port (Firecracker), whichever the machine has.

Both are read and written without waiting, through ``fd`` (-1 while no host is there); ``listener`` tells of new
connections (-1 where there are none but the one). Frames and their meaning are the agent's.
"""

from __future__ import annotations

import os
import socket
import time

READ = 64 * 1024
_VIRTIO_DEVICES = "/sys/bus/virtio/devices"
_VIRTIO_VSOCK = 19  # device id: virtio specification, section 5


def has_vsock() -> bool:
    """Whether the machine has a virtio vsock device. Its driver need not be loaded."""
    for device in os.listdir(_VIRTIO_DEVICES) if os.path.isdir(_VIRTIO_DEVICES) else ():
        with open(f"{_VIRTIO_DEVICES}/{device}/device") as file:
            if int(file.read(), 16) == _VIRTIO_VSOCK:
                return True
    return False


class SerialPort:
    """One stream for the machine's whole life: a host that closes its end may open it again, and the guest that is
    restored from a snapshot goes on where it was."""

    listener = -1

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def accept(self) -> bool:
        """Never: there are no connections."""
        return False

    def read(self) -> bytes:
        """What is there now, or b""."""
        try:
            data = os.read(self.fd, READ)
        except BlockingIOError:
            return b""
        if not data:  # a port whose host end is closed reads as empty and polls as ready
            time.sleep(0.01)
        return data

    def write(self, data: bytes | bytearray) -> int:
        """How many of the bytes were taken."""
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0


class VsockPort:
    """Connections of the host, one at a time: the newest counts.

    The loss of one may go unnoticed for long: what is restored from a snapshot has lost it without a word from the
    other end. So whoever connects next takes its place.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        listener.setblocking(False)
        self._connection: socket.socket | None = None

    @classmethod
    def listening(cls, port: int) -> VsockPort:
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((socket.VMADDR_CID_ANY, port))
        listener.listen()
        return cls(listener)

    @property
    def listener(self) -> int:
        return self._listener.fileno()

    @property
    def fd(self) -> int:
        return self._connection.fileno() if self._connection else -1

    def accept(self) -> bool:
        """Take the next connection in place of the one there is; False where it is gone again."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return False
        connection.setblocking(False)
        self._hang_up()
        self._connection = connection
        return True

    def read(self) -> bytes:
        """What is there now, or b"". At the connection's end, however it came, ``fd`` is -1 afterwards."""
        if self._connection:
            try:
                if data := self._connection.recv(READ):
                    return data
            except BlockingIOError:
                return b""
            except OSError:
                pass  # reset; ENOTCONN after a restore
            self._hang_up()
        return b""

    def write(self, data: bytes | bytearray) -> int:
        """How many of the bytes were taken. ``fd`` is -1 afterwards where the connection has ended."""
        if self._connection:
            try:
                return self._connection.send(data)
            except BlockingIOError:
                return 0
            except OSError:
                self._hang_up()
        return 0

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


Channel = SerialPort | VsockPort
