"""Byte streams to a guest: over a connected socket, as guestlink reads and writes it, and one that counts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from engine.vmm.base import ByteStream

_READ = 128 * 1024


class SocketStream:
    """Reads at most what the reader asks for: asyncio's own buffer is limited to 2 x _READ."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unread = b""

    @classmethod
    async def open(cls, sock: socket.socket) -> SocketStream:
        """Takes over ``sock``, which must be connected."""
        return cls(*await asyncio.open_connection(sock=sock, limit=_READ))

    async def read(self) -> bytes:
        """Next bytes; empty at the end, however it came."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            return await self._reader.read(_READ)
        except ConnectionError:
            return b""

    async def has_words(self) -> bool:
        """Wait until there is something to read, which stays to be read; False where the stream ends first."""
        self._unread = await self.read()
        return bool(self._unread)

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError once the other end is gone."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """At once: what is not sent yet is dropped, for the other end may never read it."""
        self._writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@dataclass(slots=True)
class Traffic:
    """Bytes on the connection to a guest's agent, frames and all."""

    in_bytes: int = 0
    """From the host to the agent."""
    out_bytes: int = 0


class CountedStream:
    """A stream whose bytes are counted: those read when they are read, those written when they are handed over."""

    def __init__(self, stream: ByteStream, traffic: Traffic) -> None:
        self._stream = stream
        self._traffic = traffic

    async def read(self) -> bytes:
        data = await self._stream.read()
        self._traffic.out_bytes += len(data)
        return data

    async def write(self, data: bytes) -> None:
        self._traffic.in_bytes += len(data)
        await self._stream.write(data)

    async def close(self) -> None:
        await self._stream.close()
