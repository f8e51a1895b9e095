"""What HTTP adds: a POST over loopback TCP on a kept connection, less the time that the engine took within it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from engine.http.server import running_server
from engine.http.sockets import tcp_socket
from engine.settings import Settings
from tests.benchmarks import case
from tests.benchmarks.subject import TimedEngine

_DEADLINE_S = 60.0


class Endpoint:
    """A served engine and a client with one connection to it."""

    def __init__(self, engine: TimedEngine, client: httpx.AsyncClient) -> None:
        self._engine = engine
        self._client = client

    async def post_ms(self) -> tuple[float, float]:
        """A whole call as its client sees it, and what of it was not the engine's."""
        body = case.request("snapshot").model_dump(include={"language", "code", "boot"})
        began = time.perf_counter()
        answer = await self._client.post("/api/v1/execute", json=body)
        took = time.perf_counter() - began
        answer.raise_for_status()
        return took * 1000, (took - self._engine.watch.spent_s) * 1000

    async def call_ms(self) -> float:
        """The same request as a call of the engine."""
        began = time.perf_counter()
        await self._engine.run(case.request("snapshot"))
        return (time.perf_counter() - began) * 1000


@asynccontextmanager
async def served(engine: TimedEngine, settings: Settings) -> AsyncGenerator[Endpoint]:
    with tcp_socket("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        async with (
            running_server(engine, settings, listener, trusted=False),
            httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=_DEADLINE_S) as client,
        ):
            yield Endpoint(engine, client)
