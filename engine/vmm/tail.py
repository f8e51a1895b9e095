"""The last bytes of a stream that nobody may trust or wait for: a serial console, a VMM's own messages.

Bytes are counted from the stream's first, so that whoever follows it can tell what of it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

_PIECE = 4096


class Tail:
    """Keeps the last ``kept`` bytes, and stops reading after ``read_max`` so that a flood costs a bounded effort."""

    def __init__(self, kept: int, read_max: int, heard: Callable[[bytes], None] | None = None) -> None:
        """``heard`` is called with each piece as it comes."""
        self._kept = kept
        self._left = read_max
        self._heard = heard
        self._bytes = bytearray()
        self._total = 0
        self._ended = False
        self._change: asyncio.Future[None] | None = None

    @property
    def total(self) -> int:
        """Bytes read since the start."""
        return self._total

    @property
    def exhausted(self) -> bool:
        """All was read that may be; there may be more, which nobody reads."""
        return self._left <= 0

    @property
    def ended(self) -> bool:
        """No more comes, for whatever reason."""
        return self._ended or self.exhausted

    def text(self) -> str:
        return self._bytes.decode(errors="replace")

    def since(self, offset: int) -> tuple[int, bytes]:
        """What is kept from byte ``offset`` on, and the offset where that begins: a later one where bytes are gone."""
        kept_from = self._total - len(self._bytes)
        begin = min(max(offset, kept_from), self._total)
        return begin, bytes(self._bytes[begin - kept_from :])

    async def grown(self, beyond: int) -> bool:
        """Wait until there are more than ``beyond`` bytes; False where it has ended with no more."""
        while self._total <= beyond and not self.ended:
            if self._change is None:
                self._change = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._change)
        return self._total > beyond

    def allow(self, count: int) -> None:
        """Read so many bytes more, where reading has not stopped yet."""
        if not self.ended:
            self._left += count

    def end(self) -> None:
        """No more comes. Idempotent."""
        self._ended = True
        self._tell()

    def _add(self, data: bytes) -> bool:
        self._bytes += data
        del self._bytes[: max(0, len(self._bytes) - self._kept)]
        self._total += len(data)
        self._left -= len(data)
        if self._heard is not None:
            self._heard(data)
        self._tell()
        return self._left > 0

    def _tell(self) -> None:
        change, self._change = self._change, None
        if change is not None and not change.done():
            change.set_result(None)

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
            if self.exhausted:
                self.end()

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
        try:
            with sock:
                while data := await loop.sock_recv(sock, _PIECE):
                    if not self._add(data):
                        return
        finally:
            self.end()
