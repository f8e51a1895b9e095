"""Calls about runs that have ended. They tell what others ran, so they are the operator's; only figures are open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from engine.api import EngineApi
from engine.models import MAX_WINDOW_S, RunEntry, RunQuery, RunRequest, RunStats


def stats_router(engine: EngineApi) -> APIRouter:
    router = APIRouter()

    @router.get("/api/v1/runs/stats", tags=["runs"], summary="Figures over the runs of the last window_s seconds")
    async def run_stats(window_s: Annotated[float, Query(gt=0, le=MAX_WINDOW_S)] = 3600) -> RunStats:
        return await engine.run_stats(window_s=window_s)

    return router


def past_router(engine: EngineApi) -> APIRouter:
    router = APIRouter()

    @router.get("/api/v1/runs", tags=["runs"], summary="Runs that have ended, the newest first")
    async def runs(query: Annotated[RunQuery, Query()]) -> Sequence[RunEntry]:
        return await engine.runs(query)

    @router.get("/api/v1/runs/{trace_id}/request", tags=["runs"], summary="What a past run was asked to do, while kept")
    async def run_request(trace_id: str) -> RunRequest:
        return await engine.run_request(trace_id)

    return router
