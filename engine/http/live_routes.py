"""Calls about what goes on now: samples of the host, one VM in detail, its serial console, and who answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from engine.api import EngineApi
from engine.errors import NotReadyError
from engine.http.event_stream import EventStream, SentEvent
from engine.models import EngineIdentity, HostSample, SerialText, VmDetail

_STOPPED = "The server is stopping"
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}


def live_router(engine: EngineApi, stopping: asyncio.Event, *, role: Literal["operator", "viewer"]) -> APIRouter:
    """What every caller may see; ``role`` is what callers of this server are told that they are."""
    router = APIRouter()

    @router.get("/api/v1/samples", tags=["host"], summary="The host over the last minutes, oldest first")
    async def samples(last: Annotated[int, Query(ge=1, le=10_000)] = 240) -> Sequence[HostSample]:
        return await engine.samples(last=last)

    @router.get(
        "/api/v1/engine",
        tags=["host"],
        summary="Which engine answers, again every few seconds: the stream ends with the engine",
        response_class=Response,
        responses=_STREAM,
    )
    async def attach() -> Response:
        stopped = NotReadyError(_STOPPED, remedy="Attach again once it is back")

        def render(identity: EngineIdentity) -> SentEvent:
            return SentEvent("engine", identity.model_copy(update={"role": role}).model_dump_json().encode())

        return EventStream(engine.attach(), render, stopping=stopping, stopped=stopped)

    return router


def vm_router(engine: EngineApi, stopping: asyncio.Event) -> APIRouter:
    """What tells of others' code: the operator's."""
    router = APIRouter()

    @router.get("/api/v1/vms/{vm_id}", tags=["inventory"], summary="All that is known of one live VM")
    async def vm(vm_id: str) -> VmDetail:
        return await engine.vm(vm_id)

    @router.get(
        "/api/v1/vms/{vm_id}/serial",
        tags=["inventory"],
        summary="Serial console of a VM, as a stream that ends with it",
        response_class=Response,
        responses=_STREAM,
    )
    async def vm_serial(vm_id: str, after: Annotated[int, Query(ge=0)] = 0) -> Response:
        stopped = NotReadyError(_STOPPED, remedy="Look at the VM again once it is back")
        return EventStream(engine.vm_serial(vm_id, after=after), _serial, stopping=stopping, stopped=stopped)

    return router


def _serial(text: SerialText) -> SentEvent:
    return SentEvent("serial", text.model_dump_json().encode(), id=text.offset)
