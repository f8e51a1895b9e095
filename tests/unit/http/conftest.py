from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.client import RemoteEngine
from engine.http.server import running_server, serve_socket
from engine.http.sockets import tcp_socket
from engine.settings import Settings
from tests.unit.fake_engine import FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "run")


@asynccontextmanager
async def serving(engine: FakeEngine, settings: Settings) -> AsyncIterator[str]:
    """URL of a server on a free loopback port."""
    with tcp_socket("127.0.0.1", 0) as listener:
        async with running_server(engine, settings, listener, trusted=False):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
async def url(engine: FakeEngine, settings: Settings) -> AsyncIterator[str]:
    async with serving(engine, settings) as address:
        yield address


@pytest.fixture
async def remote(engine: FakeEngine, settings: Settings) -> AsyncIterator[RemoteEngine]:
    """A client of the unix socket."""
    async with serve_socket(engine, settings) as path, RemoteEngine(path) as client:
        yield client


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection, for what a well-behaved client does not send."""
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))
