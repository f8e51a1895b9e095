"""Who is let in, and what is refused before the engine hears of it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from engine.errors import NotReadyError
from engine.http import refusal
from engine.http.body_limit import MAX_BODY_BYTES
from engine.http.server import require_token, serve
from engine.settings import Settings
from tests.unit.fake_engine import FakeEngine
from tests.unit.http.conftest import connect, serving

PROBLEM = "application/problem+json"


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:8080", "127.0.0.1"])
async def test_names_of_this_host_are_let_in(host: str, url: str) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", ""])
async def test_a_rebound_name_is_refused(host: str, url: str) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{url}/health", headers={"Host": host})
    assert (answer.status_code, answer.headers["content-type"]) == (421, PROBLEM)


@pytest.mark.parametrize(
    ("origin", "status"), [("https://evil.example", 403), ("null", 403), ("http://127.0.0.1:9", 200)]
)
async def test_pages_of_other_sites_are_refused(origin: str, status: int, url: str) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/health", headers={"Origin": origin})).status_code == status


@pytest.mark.parametrize(
    ("given", "status"), [(None, 401), ("Bearer wrong", 401), ("Bearer", 401), ("s3cret", 401), ("Bearer s3cret", 200)]
)
async def test_a_token_is_needed_where_one_is_set(
    given: str | None, status: int, engine: FakeEngine, settings: Settings
) -> None:
    guarded = settings.model_copy(update={"api_token": "s3cret"})
    headers = {"Host": "box.example", **({"Authorization": given} if given else {})}
    async with serving(engine, guarded) as url, httpx.AsyncClient(headers=headers) as http:
        answer = await http.get(f"{url}/api/v1/languages")
        assert answer.status_code == status
        assert (await http.get(f"{url}/health?full=1")).status_code == status
        assert (await http.get(f"{url}/health")).status_code == 200
        assert (await http.get(f"{url}/docs")).status_code == 200
        assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize("host", ["192.0.2.1", "::", "box.example"])
async def test_another_address_without_a_token_is_not_served(host: str, engine: FakeEngine, settings: Settings) -> None:
    with pytest.raises(NotReadyError, match="not a loopback address") as raised:
        await serve(engine, settings, host=host, port=0)
    assert "VMDECK_API_TOKEN" in raised.value.remedy


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.0.1"])
def test_loopback_needs_no_token(host: str, settings: Settings) -> None:
    require_token(host, settings)


OPERATORS = [
    ("GET", "/api/v1/setup/record"),
    ("DELETE", "/api/v1/vms/vm-1"),
    ("DELETE", "/api/v1/rootfs/python-bookworm"),
    ("DELETE", "/api/v1/snapshots/python-256"),
    ("POST", "/api/v1/setup"),
    ("POST", "/api/v1/setup/plan"),
    ("POST", "/api/v1/setup/undo"),
    ("GET", "/api/v1/rootfs?remote=true"),
    ("GET", "/api/v1/snapshots?remote=true"),
    ("POST", "/api/v1/rootfs/echo/upload"),
    ("POST", "/api/v1/rootfs/echo/download"),
    ("POST", "/api/v1/snapshots/python-256/upload"),
    ("POST", "/api/v1/snapshots/python-256/download"),
]


@pytest.mark.parametrize(("method", "path"), OPERATORS)
async def test_calls_of_operators_are_not_for_everyone_on_it(
    method: str, path: str, engine: FakeEngine, url: str, settings: Settings
) -> None:
    body = {"json": {}} if method == "POST" else {}
    async with httpx.AsyncClient() as http:
        answer = await http.request(method, url + path, **body)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:vmdeck:error:forbidden")
    guarded = settings.model_copy(update={"api_token": "s3cret"})
    headers = {"Authorization": "Bearer s3cret"}
    async with serving(engine, guarded) as address, httpx.AsyncClient(headers=headers) as http:
        assert (await http.request(method, address + path, **body)).is_success


HEAD = b"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def test_a_declared_body_over_the_limit_is_refused_before_it_is_sent(url: str) -> None:
    reader, writer = await connect(url)
    writer.write(HEAD + b"Content-Length: 20000000\r\n\r\n")
    answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:vmdeck:error:too-large" in answer


async def test_an_undeclared_body_is_refused_when_it_passes_the_limit(url: str) -> None:
    reader, writer = await connect(url)
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    answering = asyncio.create_task(reader.readuntil(b"}"))
    piece, sent = b"x" * 65536, 0
    while not answering.done() and sent < 4 * MAX_BODY_BYTES:
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()
        sent += len(piece)
    answer = await asyncio.wait_for(answering, 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert MAX_BODY_BYTES < sent < 4 * MAX_BODY_BYTES


async def test_a_refused_client_can_not_send_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "DROP_BYTES", 1 << 20)
    _, writer = await connect(url)
    writer.write(HEAD + b"Content-Length: 2000000000\r\n\r\n")
    sent = 0
    with pytest.raises(ConnectionError):  # noqa: PT012 - which write meets the reset is the kernel's choice
        while sent < 500_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536
    assert sent < 100_000_000


async def test_an_ordinary_client_learns_that_20_mb_of_code_are_too_much(url: str, engine: FakeEngine) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(f"{url}/api/v1/execute", json={"language": "echo", "code": "x" * 20_000_000})
    assert (answer.status_code, answer.headers["content-type"], engine.entered) == (413, PROBLEM, 0)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/api/v1/execute", 405)])
async def test_http_refusals_are_problems_too(method: str, path: str, status: int, url: str) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.request(method, url + path)
    assert (answer.status_code, answer.json()["status"], answer.headers["content-type"]) == (status, status, PROBLEM)
