"""POST /api/v1/execute as programs of any language see it: plain HTTP against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from httpx_sse import aconnect_sse
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.errors import BusyError, InputError
from engine.models import RunRequest
from tests.unit.fake_engine import FakeEngine, raising

EXECUTE = "/api/v1/execute"
PROBLEM = "application/problem+json"


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        yield client


async def test_a_run_answers_with_the_fields_that_callers_know(http: httpx.AsyncClient) -> None:
    answer = await http.post(EXECUTE, json={"language": "echo", "code": "hello\n"})
    result = answer.json()
    assert answer.status_code == 200
    assert (result["status"], result["stdout"], result["stderr"], result["exit_code"]) == (
        "success",
        "hello\n",
        None,
        0,
    )
    assert (result["exec_time"], result["boot"], result["truncated"]) == (
        "10ms",
        "snapshot",
        {"stdout": False, "stderr": False},
    )
    assert answer.headers["x-trace-id"] == result["trace_id"]


async def test_a_list_of_inputs_answers_with_a_list_of_results(http: httpx.AsyncClient) -> None:
    answer = await http.post(EXECUTE, json={"language": "echo", "stdin": ["a", "b"]})
    assert [result["stdout"] for result in answer.json()["results"]] == ["a", "b"]


@pytest.mark.parametrize("stdin", [["a"], []])
async def test_a_list_of_one_or_none_is_still_a_list(stdin: list[str], http: httpx.AsyncClient) -> None:
    answer = await http.post(EXECUTE, json={"language": "echo", "stdin": stdin})
    assert [result["stdout"] for result in answer.json()["results"]] == stdin


@pytest.mark.parametrize("files", [[{"path": "a.txt", "content": "x"}], {"a.txt": "x"}])
async def test_files_come_as_a_list_or_as_a_mapping(files: object, engine: FakeEngine, http: httpx.AsyncClient) -> None:
    assert (await http.post(EXECUTE, json={"language": "echo", "files": files})).status_code == 200
    assert [(file.path, file.content) for file in engine.requests[0].files] == [("a.txt", "x")]


async def test_code_that_fails_is_an_answer_not_an_error(http: httpx.AsyncClient) -> None:
    answer = await http.post(EXECUTE, json={"language": "echo", "env": {"EXIT": "3", "STDERR": "no"}})
    assert (answer.status_code, answer.json()["status"], answer.json()["exit_code"]) == (200, "failed", 3)


async def test_events_stream_in_the_order_of_the_run(http: httpx.AsyncClient) -> None:
    body = {"language": "echo", "code": "one\ntwo\n", "env": {"STDERR": "err"}}
    async with aconnect_sse(http, "POST", EXECUTE, json=body) as source:
        events = [(event.event, json.loads(event.data)) async for event in source.aiter_sse()]
    assert [kind for kind, _ in events] == ["stage", "stage", "stdout", "stdout", "stderr", "result"]
    assert [data["text"] for kind, data in events if kind == "stdout"] == ["one\n", "two\n"]
    assert events[-1][1]["result"]["stdout"] == "one\ntwo\n"
    assert source.response.headers["x-trace-id"] == events[0][1]["trace_id"]


async def test_events_arrive_while_the_run_goes_on(engine: FakeEngine, http: httpx.AsyncClient) -> None:
    async with aconnect_sse(http, "POST", EXECUTE, json={"language": "hang"}) as source:
        async for event in source.aiter_sse():
            if event.event == "stdout":
                break
        assert engine.live == 1


async def test_an_error_mid_stream_is_an_event_with_the_problem(http: httpx.AsyncClient) -> None:
    async with aconnect_sse(http, "POST", EXECUTE, json={"language": "lost"}) as source:
        events = [event async for event in source.aiter_sse()]
    problem = json.loads(events[-1].data)
    assert events[-1].event == "error"
    assert (problem["type"], problem["status"]) == ("urn:vmdeck:error:outcome-unknown", 502)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_client_that_leaves_ends_its_run(accept: str, engine: FakeEngine, url: str) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            headers = {"Accept": accept}
            async with client.stream("POST", EXECUTE, json={"language": "hang"}, headers=headers) as answer:
                await answer.aread()

    asking = asyncio.create_task(ask())
    await asyncio.wait_for(engine.until_live(1), 10)
    asking.cancel()
    await asyncio.wait_for(engine.until_live(0), 10)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_too_busy_says_when_to_come_back(accept: str, engine: FakeEngine, http: httpx.AsyncClient) -> None:
    with raising(engine, BusyError("32 runs wait already", retry_after_s=4)):
        answer = await http.post(EXECUTE, json={"language": "echo"}, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "4")
    assert answer.headers["content-type"] == PROBLEM


async def test_an_error_has_cause_remedy_and_trace(engine: FakeEngine, http: httpx.AsyncClient) -> None:
    with raising(engine, InputError("too much memory", remedy="ask for less", max_mib=512)):
        answer = await http.post(EXECUTE, json={"language": "echo"})
    problem = answer.json()
    assert problem.pop("trace_id") == answer.headers["x-trace-id"]
    assert problem == {
        "type": "urn:vmdeck:error:input",
        "title": "The request is not valid",
        "status": 422,
        "detail": "too much memory",
        "remedy": "ask for less",
        "context": {"max_mib": 512},
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"language": "echo", "timeout": -1}, "timeout"),
        ({"language": "echo", "files": {"../x": "y"}}, "files.0.path"),
        ({"language": "echo", "files": [{"path": "a"}]}, "files.0.content"),
        ({"language": "echo", "colour": "red"}, "colour"),
        ({"language": "echo", "limits": {"pids": 0}}, "limits.pids"),
        ({}, "language"),
    ],
)
async def test_a_field_that_is_not_valid_is_named(body: object, field: str, http: httpx.AsyncClient) -> None:
    answer = await http.post(EXECUTE, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert field in [fault["field"] for fault in answer.json()["errors"]]


async def test_a_kernel_of_the_host_can_not_be_named_over_tcp(engine: FakeEngine, http: httpx.AsyncClient) -> None:
    answer = await http.post(EXECUTE, json={"language": "echo", "kernel": "/etc/passwd"})
    assert (answer.status_code, engine.entered) == (422, 0)
    assert "kernel" in answer.json()["detail"]


async def test_an_unknown_language_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.post(EXECUTE, json={"language": "cobol"})
    assert (answer.status_code, answer.json()["remedy"]) == (404, "Known languages: echo")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"language": "echo"}', "text/plain"),
        (b"", "application/json"),
        (b'{"language": "echo", "timeout": NaN}', "application/json"),
        (b'{"language": "echo", "\\ud800": 1}', "application/json"),
        (b'{"language": "echo", "env": {"\\ud800": "x"}}', "application/json"),
        (b'{"language": "echo", "code": "\\ud800"}', "application/json"),
        (b'{"language": "echo", "vcpus": 1' + b"0" * 5000 + b"}", "application/json"),
    ],
)
async def test_a_body_that_is_no_request_is_the_clients_fault(
    content: bytes, kind: str, engine: FakeEngine, http: httpx.AsyncClient
) -> None:
    answer = await http.post(EXECUTE, content=content, headers={"Content-Type": kind})
    assert (answer.status_code in (400, 422), answer.headers["content-type"]) == (True, PROBLEM)
    assert engine.entered == 0


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner)
)
BODIES = st.dictionaries(st.sampled_from([*RunRequest.model_fields, "other"]), ANYTHING).map(
    lambda body: {"language": "echo", **body}
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES | ANYTHING)
async def test_no_body_is_the_servers_fault(body: object, http: httpx.AsyncClient) -> None:
    content = json.dumps(body).encode()
    answer = await http.post(EXECUTE, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, answer.text
