"""The plain calls of the HTTP API: each is one call of the engine. Runs are in ``execute``.

``inventory_router`` only looks; ``operator_router`` changes the host, or tells what is not for everyone on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from engine.api import EngineApi
from engine.errors import NotReadyError
from engine.http.event_stream import EventStream, SentEvent
from engine.http.exchange_routes import RemoteQuery, asked_place
from engine.http.prometheus import RunMetrics
from engine.models import (
    BuildImageRequest,
    CreateSnapshotRequest,
    DockerImageRequest,
    Health,
    HostMetrics,
    Image,
    Job,
    JobEvent,
    Language,
    RemoteImage,
    RemoteSnapshot,
    SetupOptions,
    SetupStep,
    SetupTrace,
    Snapshot,
    Value,
    Verification,
    Vm,
)


class ApplySetup(Value):
    """Which setup steps to apply; without ``steps`` all that are not done."""

    steps: tuple[str, ...] | None = None
    options: SetupOptions = SetupOptions()


def inventory_router(engine: EngineApi, metrics: RunMetrics, stopping: asyncio.Event, *, operator: bool) -> APIRouter:
    router = APIRouter()

    @router.get("/health", tags=["host"], summary="State of the engine; full=1 adds the host's checks")
    async def health(full: bool = False) -> Health:
        return await engine.health(full=full)

    @router.get("/metrics", tags=["host"], summary="Metrics for Prometheus")
    async def prometheus() -> Response:
        return await metrics.exposition(engine)

    @router.get("/api/v1/metrics", tags=["host"], summary="CPU, memory, disk and network of the host")
    async def host_metrics() -> HostMetrics:
        return await engine.metrics()

    @router.get("/api/v1/setup", tags=["host"], summary="Steps of first-time setup, as they stand")
    async def setup_steps() -> Sequence[SetupStep]:
        return await engine.setup_steps()

    @router.get("/api/v1/languages", tags=["inventory"], summary="Languages of the catalogue")
    async def languages() -> Sequence[Language]:
        return await engine.languages()

    @router.get("/api/v1/rootfs", tags=["inventory"], summary="Images; remote=true those in object storage")
    async def images(query: Annotated[RemoteQuery, Query()]) -> Sequence[Image] | Sequence[RemoteImage]:
        if query.remote:
            return await engine.remote_images(asked_place(query, operator=operator))
        return await engine.images()

    @router.get("/api/v1/snapshots", tags=["inventory"], summary="Snapshots; remote=true those in object storage")
    async def snapshots(query: Annotated[RemoteQuery, Query()]) -> Sequence[Snapshot] | Sequence[RemoteSnapshot]:
        if query.remote:
            return await engine.remote_snapshots(asked_place(query, operator=operator))
        return await engine.snapshots()

    @router.get("/api/v1/vms", tags=["inventory"], summary="Live VMs")
    async def vms() -> Sequence[Vm]:
        return await engine.vms()

    @router.get("/api/v1/jobs", tags=["jobs"], summary="Long work: running and done")
    async def jobs() -> Sequence[Job]:
        return await engine.jobs()

    @router.get(
        "/api/v1/jobs/{job_id}/events",
        tags=["jobs"],
        summary="Events of a job, as a stream that ends with it",
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def job_events(
        job_id: str,
        after: Annotated[int, Query(ge=0)] = 0,
        last_event_id: Annotated[int | None, Header(ge=0)] = None,
    ) -> Response:
        """Events after number ``after``, or after the header Last-Event-ID, which a browser sends to resume."""
        events = engine.job_events(job_id, after=after if last_event_id is None else last_event_id)
        stopped = NotReadyError("The server is stopping", remedy="Look at the job again once it is back")
        return EventStream(events, _render, stopping=stopping, stopped=stopped)

    return router


def operator_router(engine: EngineApi) -> APIRouter:
    router = APIRouter()

    @router.delete("/api/v1/vms/{vm_id}", tags=["inventory"], status_code=204, summary="Kill a VM")
    async def kill_vm(vm_id: str) -> None:
        await engine.kill_vm(vm_id)

    @router.post("/api/v1/rootfs", tags=["inventory"], status_code=202, summary="Build an image from Debian packages")
    async def build_image(body: BuildImageRequest) -> Job:
        return await engine.build_image(body)

    @router.post("/api/v1/rootfs/from-docker", tags=["inventory"], status_code=202, summary="Build one from Docker's")
    async def build_docker_image(body: DockerImageRequest) -> Job:
        return await engine.build_docker_image(body)

    @router.delete("/api/v1/rootfs/{name}", tags=["inventory"], status_code=204, summary="Remove an image")
    async def remove_image(name: str) -> None:
        await engine.remove_image(name)

    @router.post("/api/v1/snapshots", tags=["inventory"], status_code=202, summary="Create a snapshot")
    async def create_snapshot(body: CreateSnapshotRequest) -> Job:
        return await engine.create_snapshot(body)

    @router.post("/api/v1/snapshots/{name}/verify", tags=["inventory"], summary="Check a snapshot's files")
    async def verify_snapshot(name: str) -> Verification:
        return await engine.verify_snapshot(name)

    @router.delete("/api/v1/snapshots/{name}", tags=["inventory"], status_code=204, summary="Remove a snapshot")
    async def remove_snapshot(name: str) -> None:
        await engine.remove_snapshot(name)

    @router.post("/api/v1/setup", tags=["host"], status_code=202, summary="Apply setup steps")
    async def apply_setup(body: ApplySetup) -> Job:
        return await engine.apply_setup(body.steps, body.options)

    # Only looks, yet its options may name files of the host.
    @router.post("/api/v1/setup/plan", tags=["host"], summary="Steps of setup with options, as they stand")
    async def setup_plan(body: SetupOptions) -> Sequence[SetupStep]:
        return await engine.setup_steps(body)

    @router.get("/api/v1/setup/record", tags=["host"], summary="What setup made on this host, oldest first")
    async def setup_record() -> Sequence[SetupTrace]:
        return await engine.setup_record()

    @router.post("/api/v1/setup/undo", tags=["host"], status_code=202, summary="Remove what setup made")
    async def undo_setup() -> Job:
        return await engine.undo_setup()

    @router.post("/api/v1/snapshots/{name}/refresh", tags=["inventory"], status_code=202, summary="Make it anew")
    async def refresh_snapshot(name: str) -> Job:
        return await engine.refresh_snapshot(name)

    @router.post("/api/v1/jobs/{job_id}/retry", tags=["jobs"], status_code=202, summary="Do a job's work once more")
    async def retry_job(job_id: str) -> Job:
        return await engine.retry_job(job_id)

    @router.post("/api/v1/jobs/{job_id}/cancel", tags=["jobs"], summary="Cancel a job")
    async def cancel_job(job_id: str) -> Job:
        return await engine.cancel_job(job_id)

    return router


def _render(event: JobEvent) -> SentEvent:
    return SentEvent("job", event.model_dump_json().encode(), id=event.seq)
