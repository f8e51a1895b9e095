"""History learns who asked: what comes over the unix socket is believed, everyone else is "http"."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest

from engine.attach import open_engine
from engine.caller import CALLER_HEADER, asking
from engine.client import RemoteEngine
from engine.http.server import serve_socket
from engine.models import Caller, RunEvent, RunRequest
from engine.settings import Settings
from tests.unit.fake_engine import FakeEngine
from tests.unit.http.conftest import serving

RUN = RunRequest(language="echo", code="a\n")


class Asked(FakeEngine):
    """Notes who asks for each run, where the engine does."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Caller | None] = []

    async def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        self.callers.append(asking.get())
        async for event in super().stream(request):
            yield event


@pytest.fixture
def engine() -> Asked:
    return Asked()


@pytest.mark.parametrize("caller", ["console", "cli", "bench", "library", "http"])
async def test_the_owner_of_the_socket_says_who_asks(engine: Asked, settings: Settings, caller: Caller) -> None:
    async with serve_socket(engine, settings) as path, RemoteEngine(path, caller=caller) as client:
        await client.run(RUN)
        _ = [event async for event in client.stream(RUN)]
    assert engine.callers == [caller, caller]


async def test_requests_at_once_are_not_mixed_up(engine: Asked, settings: Settings) -> None:
    async with (
        serve_socket(engine, settings) as path,
        RemoteEngine(path, caller="console") as console,
        RemoteEngine(path, caller="cli") as cli,
    ):
        async for event in console.stream(RUN):
            if event.kind == "stage":
                await cli.run(RUN)
                break
        await cli.run(RUN)
    assert engine.callers == ["console", "cli", "cli"]


@pytest.mark.parametrize("said", ["", "root", "console, cli"])
async def test_what_is_no_caller_is_not_taken_over(engine: Asked, settings: Settings, said: str) -> None:
    async with serve_socket(engine, settings) as path:
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.post("/api/v1/execute", json=RUN.model_dump(mode="json"), headers={CALLER_HEADER: said})
    assert engine.callers == ["http"]


async def test_whoever_comes_over_tcp_is_http_whatever_it_says(engine: Asked, settings: Settings) -> None:
    async with serving(engine, settings) as url, RemoteEngine(url, caller="console") as client:
        await client.run(RUN)
    assert engine.callers == ["http"]


async def test_a_front_end_that_attaches_is_known_by_its_name(engine: Asked, settings: Settings) -> None:
    async with serve_socket(engine, settings), open_engine(settings, caller="cli") as attached:
        await attached.run(RUN)
    assert engine.callers == ["cli"]
