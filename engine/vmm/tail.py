"""The last bytes of a stream that nobody may trust or wait for: a serial console, a VMM's own messages."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

_PIECE = 4096


class Tail:
    """Keeps the last ``kept`` bytes, and stops reading after ``read_max`` so that a flood costs a bounded effort."""

    def __init__(self, kept: int, read_max: int) -> None:
        self._kept = kept
        self._left = read_max
        self._bytes = bytearray()

    def text(self) -> str:
        return self._bytes.decode(errors="replace")

    def _add(self, data: bytes) -> bool:
        self._bytes += data
        del self._bytes[: -self._kept]
        self._left -= len(data)
        return self._left > 0

    async def follow_pipe(self, fd: int) -> None:
        """``fd`` is a non-blocking pipe of another's, open for as long as this runs."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(fd, readable.set)
        try:
            while await readable.wait() and self._more(fd):
                readable.clear()
        finally:
            loop.remove_reader(fd)

    def drain(self, fd: int) -> None:
        """Take what is in the non-blocking pipe ``fd`` now."""
        with contextlib.suppress(BlockingIOError):
            while self._left > 0 and (data := os.read(fd, _PIECE)) and self._add(data):
                pass

    def _more(self, fd: int) -> bool:
        try:
            data = os.read(fd, _PIECE)
        except BlockingIOError:
            return True
        return bool(data) and self._add(data)

    async def follow(self, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(_PIECE):
            if not self._add(data):
                return

    async def follow_socket(self, sock: socket.socket) -> None:
        """Owns ``sock`` and closes it at the end."""
        loop = asyncio.get_running_loop()
        with sock:
            while data := await loop.sock_recv(sock, _PIECE):
                if not self._add(data):
                    return
