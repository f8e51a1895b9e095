"""Calls about images and snapshots in object storage: the engine's own credentials are used, so they are the
operator's."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import ConfigDict

from engine.api import EngineApi
from engine.http.operator_only import refuse_operator
from engine.models import Job, RemotePlace


class RemoteQuery(RemotePlace):
    """``remote`` lists what lies in the bucket instead of what is here."""

    model_config = ConfigDict(extra="ignore")

    remote: bool = False


def asked_place(query: RemoteQuery, *, operator: bool) -> RemotePlace:
    """Raises ForbiddenError unless an ``operator`` asks."""
    if not operator:
        refuse_operator()
    return RemotePlace.model_validate(query.model_dump(exclude={"remote"}))


def exchange_router(engine: EngineApi) -> APIRouter:
    router = APIRouter(tags=["inventory"])

    @router.post("/api/v1/rootfs/{lang}/upload", status_code=202, summary="Put an image into object storage")
    async def upload_image(lang: str, body: RemotePlace) -> Job:
        return await engine.upload_image(lang, body)

    @router.post("/api/v1/rootfs/{lang}/download", status_code=202, summary="Get an image from object storage")
    async def download_image(lang: str, body: RemotePlace) -> Job:
        return await engine.download_image(lang, body)

    @router.post("/api/v1/snapshots/{name}/upload", status_code=202, summary="Put a snapshot into object storage")
    async def upload_snapshot(name: str, body: RemotePlace) -> Job:
        return await engine.upload_snapshot(name, body)

    @router.post("/api/v1/snapshots/{name}/download", status_code=202, summary="Get a snapshot from object storage")
    async def download_snapshot(name: str, body: RemotePlace) -> Job:
        return await engine.download_snapshot(name, body)

    return router
