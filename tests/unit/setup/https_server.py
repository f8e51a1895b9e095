"""A real HTTPS server on the loopback device that answers as it is told, and a certificate that vouches for it."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ETAG = '"first"'


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Connection:
    """The server's end. ``send`` returns when the kernel has the bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, **headers: str | int) -> None:
        lines = [f"HTTP/1.1 {status} Said"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "Connection: close", "", ""]).encode())

    async def gone(self) -> None:
        """Wait for the other end to hang up."""
        while await self.reader.read(4096):
            pass


Answer = Callable[[Asked, Connection], Awaitable[None]]


@dataclass
class Server:
    """``answers`` are given one to a request, the last one from then on."""

    url: str
    trust: ssl.SSLContext
    answers: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=1)
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in lines[1:] if line)
            self.asked.append(Asked(lines[0].split(" ")[1], {name.lower(): value for name, value in pairs}))
            answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
            await answer(self.asked[-1], Connection(reader, writer))
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


def whole(content: bytes, *, etag: str = ETAG, declared: bool = True, ranges: bool = True) -> Answer:
    """The file, or the rest of it that was asked for."""

    async def answer(asked: Asked, connection: Connection) -> None:
        start = _start(asked, etag) if ranges else 0
        headers: dict[str, str | int] = {"ETag": etag}
        if declared:
            headers["Content_Length"] = len(content) - start
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await connection.head(206 if start else 200, **headers)
        await connection.send(content[start:])

    return answer


def cut(content: bytes, after: int, *, etag: str = ETAG) -> Answer:
    """Promises the file and hangs up ``after`` bytes."""

    async def answer(asked: Asked, connection: Connection) -> None:
        await connection.head(200, ETag=etag, Content_Length=len(content))
        await connection.send(content[:after])

    return answer


def stalling(content: bytes, after: int) -> Answer:
    """Sends ``after`` bytes, then nothing more, and does not hang up."""

    async def answer(asked: Asked, connection: Connection) -> None:
        await connection.head(200, ETag=ETAG, Content_Length=len(content))
        await connection.send(content[:after])
        await connection.gone()

    return answer


def dripping(content: bytes) -> Answer:
    """Sends a byte each hundredth of a second."""

    async def answer(asked: Asked, connection: Connection) -> None:
        await connection.head(200, ETag=ETAG, Content_Length=len(content))
        for byte in content:
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.01)

    return answer


def status(code: int, **headers: str | int) -> Answer:
    async def answer(asked: Asked, connection: Connection) -> None:
        await connection.head(code, Content_Length=0, **headers)

    return answer


def _start(asked: Asked, etag: str) -> int:
    wanted = asked.headers.get("range", "")
    if not wanted or asked.headers.get("if-range", etag) != etag:
        return 0
    return int(wanted.removeprefix("bytes=").removesuffix("-"))


@asynccontextmanager
async def https_server(certificate: Path) -> AsyncIterator[Server]:
    """``certificate`` is a file with key and certificate."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate)
    theirs = ssl.create_default_context(cafile=str(certificate))
    server = Server("", theirs)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=ours)
    server.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


def make_certificate(folder: Path) -> Path:
    """A key and its own certificate for the loopback address."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=vmdeck test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*argv, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both
