"""The HTTP mode on a real engine and real microVMs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from engine.engine import Engine
from engine.http.server import serve
from engine.settings import Settings

pytestmark = pytest.mark.vm


@pytest.fixture
async def api(engine: Engine, lab: Settings) -> AsyncIterator[httpx.AsyncClient]:
    ready: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        serve(engine, lab, host="127.0.0.1", port=0, ready=lambda places: ready.set_result(list(places)))
    )
    try:
        url = next(place for place in await asyncio.wait_for(ready, 20) if place.startswith("http"))
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            yield client
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


async def test_execute_really_runs_the_code(api: httpx.AsyncClient) -> None:
    body = {"language": "python", "code": "import sys; print(sum(map(int, sys.stdin)))", "stdin": "1\n2\n39\n"}
    answer = await api.post("/api/v1/execute", json=body)
    assert answer.status_code == 200
    result = answer.json()
    assert (result["status"], result["stdout"], result["stderr"], result["exit_code"]) == ("success", "42\n", None, 0)
    assert result["exec_time"].endswith("ms")


async def test_a_batch_runs_the_code_once_per_stdin(api: httpx.AsyncClient) -> None:
    body = {"language": "python", "code": "print(input()[::-1])", "stdin": ["ab", "cd"]}
    results = (await api.post("/api/v1/execute", json=body)).json()["results"]
    assert [result["stdout"] for result in results] == ["ba\n", "dc\n"]


async def test_events_stream_in_order_and_end_with_the_result(api: httpx.AsyncClient) -> None:
    body = {"language": "python", "code": "print('one'); import sys; print('two', file=sys.stderr)"}
    kinds: list[str] = []
    last = {}
    headers = {"Accept": "text/event-stream"}
    async with api.stream("POST", "/api/v1/execute", json=body, headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            elif line.startswith("data: "):
                last = json.loads(line.removeprefix("data: "))
    assert kinds[0] == "stage"
    assert kinds[-1] == "result"
    assert {"stdout", "stderr"} <= set(kinds)
    assert last["result"]["stdout"] == "one\n"


async def test_a_client_that_hangs_up_ends_its_vm(api: httpx.AsyncClient, engine: Engine) -> None:
    body = {"language": "python", "code": "print('up')\nwhile True: pass", "timeout": 60}
    headers = {"Accept": "text/event-stream"}
    async with api.stream("POST", "/api/v1/execute", json=body, headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line == "event: stdout":
                break
    async with asyncio.timeout(10):
        while await engine.vms():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"language": "nope", "code": "x"}, 404),
        ({"language": "python", "code": "x", "timeout": -1}, 422),
        ({"language": "python", "code": "x" * 2_000_000}, 422),
        ({"language": "python", "code": "x", "files": [{"path": "../x", "content": ""}]}, 422),
        ({"language": "python", "code": "x", "kernel": "/etc/passwd"}, 422),
    ],
)
async def test_bad_requests_are_refused_with_a_problem_document(
    api: httpx.AsyncClient, engine: Engine, body: dict[str, object], status: int
) -> None:
    answer = await api.post("/api/v1/execute", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["detail"]
    assert not await engine.vms()


async def test_twenty_megabytes_of_code_are_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/execute", json={"language": "python", "code": "x" * 20_000_000})
    assert answer.status_code == 413


async def test_the_old_paths_tell_what_is_here(api: httpx.AsyncClient) -> None:
    assert (await api.get("/health")).json()["status"] == "ok"
    languages = {row["id"]: row for row in (await api.get("/api/v1/languages")).json()}
    assert languages["python"]["ready"]
    assert "python" in [image["name"] for image in (await api.get("/api/v1/rootfs")).json()]
    assert isinstance((await api.get("/api/v1/snapshots")).json(), list)
