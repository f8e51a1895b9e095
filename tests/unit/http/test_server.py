"""Starting, stopping, documentation and metrics of the server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from engine.client import RemoteEngine
from engine.errors import ConflictError, InputError, InternalError, OutcomeUnknownError
from engine.http.server import serve
from engine.models import Image, RunEvent, RunRequest
from engine.settings import Settings
from engine.viewers import Viewers
from tests.unit.fake_engine import IDENTITY, FakeEngine, raising


async def test_sigterm_ends_runs_with_an_error_and_then_the_server(engine: FakeEngine, settings: Settings) -> None:
    addresses: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        serve(engine, settings, host="127.0.0.1", socket=settings.socket_path, ready=addresses.set_result)
    )
    unix, url = await asyncio.wait_for(addresses, 10)
    assert unix == f"unix:{settings.socket_path}"
    async with httpx.AsyncClient(base_url=url, timeout=20) as http, RemoteEngine(settings.socket_path) as remote:
        whole = asyncio.create_task(remote.run(RunRequest(language="hang")))
        async with aconnect_sse(http, "POST", "/api/v1/execute", json={"language": "hang"}) as source:
            await asyncio.wait_for(engine.until_live(2), 10)
            os.kill(os.getpid(), signal.SIGTERM)
            events = [event async for event in source.aiter_sse()]
        assert events[-1].event == "error"
        assert "stopped" in json.loads(events[-1].data)["detail"]
        with pytest.raises(OutcomeUnknownError, match="stopped"):
            await whole
    await asyncio.wait_for(server, 10)
    assert (engine.live, settings.socket_path.exists()) == (0, False)


async def test_an_engine_that_stays_while_it_is_needed_answers_a_slow_call_first(
    engine: FakeEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one who follows nothing, and makes neither a run nor a job."""
    asked, answer = asyncio.Event(), asyncio.Event()
    images = engine.images

    async def slow() -> Sequence[Image]:
        asked.set()
        await answer.wait()
        return await images()

    monkeypatch.setattr(engine, "images", slow)
    viewers, grace_s = Viewers(IDENTITY), 0.5
    needless = asyncio.create_task(viewers.until_needless(lambda: False, grace_s))
    server = asyncio.create_task(
        serve(engine, settings, host=None, socket=settings.socket_path, until=needless, need=viewers.need)
    )
    async with asyncio.timeout(30), RemoteEngine(settings.socket_path) as remote:
        while not settings.socket_path.exists():
            await asyncio.sleep(0.01)
        call = asyncio.create_task(remote.images())
        await asked.wait()
        await asyncio.sleep(grace_s * 3)
        assert (await remote.health()).version, "it takes no more calls"
        answer.set()
        assert await call
        await server


async def test_a_second_signal_does_not_wait_for_cleanup_that_hangs(engine: FakeEngine, settings: Settings) -> None:
    cleaning, released = asyncio.Event(), asyncio.Event()

    async def hang(_request: RunRequest) -> AsyncGenerator[RunEvent]:
        yield RunEvent(kind="stdout", trace_id="t", at_ms=1, text="started")
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await released.wait()

    engine.stream = hang  # type: ignore[method-assign]
    ready = asyncio.Event()
    server = asyncio.create_task(
        serve(engine, settings, host=None, socket=settings.socket_path, ready=lambda _addresses: ready.set())
    )
    await asyncio.wait_for(ready.wait(), 10)
    async with RemoteEngine(settings.socket_path) as remote:
        events = remote.stream(RunRequest(language="hang"))
        assert (await anext(events)).text == "started"
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(cleaning.wait(), 10)
        assert not server.done()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(server, 10)
        released.set()
        await events.aclose()


async def test_a_taken_port_is_a_conflict(engine: FakeEngine, settings: Settings, url: str) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(ConflictError, match=f"Port {port}"):
        await serve(engine, settings, host="127.0.0.1", port=port)


async def test_a_foreign_address_is_an_input_error(engine: FakeEngine, settings: Settings) -> None:
    guarded = settings.model_copy(update={"api_token": "t"})
    with pytest.raises(InputError, match=r"192\.0\.2\.1"):
        await serve(engine, guarded, host="192.0.2.1", port=0)


async def test_a_fault_of_ours_is_a_problem_that_names_its_place_in_the_log(
    engine: FakeEngine, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(engine, "languages", broken)
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{url}/api/v1/languages")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:vmdeck:error:internal")
    assert answer.json()["trace_id"] in caplog.text


async def test_docs_load_nothing_from_elsewhere(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        page = (await http.get("/docs")).text
        assets = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
        assert assets
        for asset in assets:
            assert asset.startswith("/")
            assert (await http.get(asset)).status_code == 200


async def test_openapi_describes_what_is_served_and_no_more(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        document = (await http.get("/openapi.json")).json()
    assert {"/health", "/api/v1/languages", "/api/v1/execute", "/api/v1/rootfs", "/api/v1/snapshots"} <= set(
        document["paths"]
    )
    assert "kernel" not in document["components"]["schemas"]["ExecuteBody"]["properties"]


async def test_every_call_is_in_the_documentation(url: str) -> None:
    written = (Path(__file__).parents[3] / "docs" / "http-api.md").read_text()
    async with httpx.AsyncClient(base_url=url) as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    calls = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert [call for call in calls if f"`{call}`" not in written] == []


async def test_metrics_count_runs_by_how_they_ended(engine: FakeEngine, url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        await http.post("/api/v1/execute", json={"language": "echo", "stdin": ["a", "b"]})
        await http.post("/api/v1/execute", json={"language": "echo", "env": {"STATUS": "timeout"}})
        with raising(engine, InternalError("ours")):
            await http.post("/api/v1/execute", json={"language": "echo"})
        lines = (await http.get("/metrics")).text.splitlines()
    assert {
        'vmdeck_runs_total{status="success"} 2.0',
        'vmdeck_runs_total{status="timeout"} 1.0',
        'vmdeck_run_errors_total{kind="internal"} 1.0',
        'vmdeck_run_stage_seconds_count{stage="restore"} 3.0',
        'vmdeck_vms{state="running"} 1.0',
        "vmdeck_runs_capacity 2.0",
    } <= set(lines)
