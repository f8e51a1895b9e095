"""POST /api/v1/execute: one run, as one JSON answer or as a stream of its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Query, Request
from pydantic import ConfigDict, field_validator
from starlette.responses import Response

from engine.api import EngineApi
from engine.errors import InputError, OutcomeUnknownError, VmdeckError
from engine.http.attended import ClientGone, attended
from engine.http.event_stream import EventStream, SentEvent
from engine.http.prometheus import RunMetrics
from engine.http.responses import TRACE_HEADER
from engine.models import BatchResult, RunEvent, RunRequest, RunResult

CLIENT_CLOSED_REQUEST = 499  # nobody reads it; it is what logs know


def _without_kernel(schema: dict[str, Any]) -> None:
    del schema["properties"]["kernel"]


class ExecuteBody(RunRequest):
    """One piece of code to run once in a microVM of its own. ``files`` may also be an object: path to content."""

    model_config = ConfigDict(json_schema_extra=_without_kernel)

    @field_validator("files", mode="before")
    @classmethod
    def _from_mapping(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return [{"path": path, "content": content} for path, content in cast("dict[str, object]", value).items()]


def execute_router(engine: EngineApi, metrics: RunMetrics, stopping: asyncio.Event, *, trusted: bool) -> APIRouter:
    """``trusted`` callers may also name a kernel file of the host."""
    router = APIRouter(tags=["runs"])

    @router.post(
        "/api/v1/execute",
        response_model=RunResult | BatchResult,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
        summary="Run code in a microVM",
    )
    async def execute(
        body: ExecuteBody,
        request: Request,
        accept: Annotated[str, Header()] = "*/*",
        brief: Annotated[bool, Query(description="leave out of results the output that events have brought")] = False,
    ) -> Response:
        """One RunResult; a BatchResult where ``stdin`` is a list. With ``Accept: text/event-stream``: RunEvents."""
        if body.kernel is not None and not trusted:
            raise InputError(
                "kernel: not accepted over HTTP", remedy="Use `vmdeck host --kernel PATH` on the host itself"
            )
        events = _counted(engine.stream(body), metrics)
        stopped = OutcomeUnknownError("The server was stopped before the run ended", remedy="Run it again")
        if "text/event-stream" in accept:
            render = _render_brief if brief else _render
            return EventStream(events, render, stopping=stopping, stopped=stopped)
        try:
            results = await attended(_results(events), request.receive, stopping, stopped)
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        answer = BatchResult(results=tuple(results)) if isinstance(body.stdin, tuple) else _only(results)
        trace = {TRACE_HEADER: results[0].trace_id} if results else {}
        return Response(answer.model_dump_json(), headers=trace, media_type="application/json")

    return router


async def _counted(events: AsyncGenerator[RunEvent], metrics: RunMetrics) -> AsyncGenerator[RunEvent]:
    try:
        async with aclosing(events) as source:
            async for event in source:
                if event.result is not None:
                    metrics.ended(event.result)
                yield event
    except VmdeckError as error:
        metrics.failed(error.kind)
        raise


async def _results(events: AsyncGenerator[RunEvent]) -> list[RunResult]:
    """Results by the index of their batch item."""
    results: dict[int, RunResult] = {}
    async with aclosing(events) as source:
        async for event in source:
            if event.result is not None:
                results[event.item] = event.result
    return [results[item] for item in sorted(results)]


def _only(results: Sequence[RunResult]) -> RunResult:
    if len(results) != 1:
        raise OutcomeUnknownError(f"The run ended with {len(results)} results")
    return results[0]


def _render(event: RunEvent) -> SentEvent:
    return SentEvent(event.kind, event.model_dump_json().encode(), headers={TRACE_HEADER: event.trace_id})


def _render_brief(event: RunEvent) -> SentEvent:
    if event.result is not None:
        result = event.result.model_copy(update={"stdout": "", "stderr": None})
        event = event.model_copy(update={"result": result})
    return _render(event)
