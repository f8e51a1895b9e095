"""Calls that build the images of languages, and remove what is left of older ones. They are the operator's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from engine.api import EngineApi
from engine.models import BuildLanguageRequest, Job, LanguageBuild, Leftover, PruneRequest


def build_router(engine: EngineApi) -> APIRouter:
    router = APIRouter(tags=["inventory"])

    @router.post("/api/v1/rootfs/{lang}/build", status_code=202, summary="Build the image of a language")
    async def build_language(lang: str, body: LanguageBuild) -> Job:
        return await engine.build_language(BuildLanguageRequest(language=lang, **body.model_dump()))

    @router.get("/api/v1/rootfs/prune", summary="What pruning would remove")
    async def leftovers(query: Annotated[PruneRequest, Query()]) -> Sequence[Leftover]:
        return await engine.leftovers(query)

    @router.post("/api/v1/rootfs/prune", summary="Remove older builds that nothing uses, and old downloads")
    async def prune(body: PruneRequest) -> Sequence[Leftover]:
        return await engine.prune(body)

    return router
