"""Calls about the engine's settings and its service, all of them the operator's."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from engine.api import EngineApi
from engine.models import ServiceAction, ServiceState, SetSetting, Setting


def settings_router(engine: EngineApi) -> APIRouter:
    router = APIRouter()

    @router.get("/api/v1/settings", tags=["settings"], summary="Effective settings and where they come from")
    async def settings() -> Sequence[Setting]:
        return await engine.settings()

    @router.put("/api/v1/settings/{name}", tags=["settings"], summary="Write a setting into config.toml; null removes")
    async def set_setting(name: str, body: SetSetting) -> Setting:
        return await engine.set_setting(name, body.value)

    @router.post("/api/v1/settings/api_token/reveal", tags=["settings"], summary="The token of this API")
    async def api_token() -> str:
        return await engine.api_token()

    @router.get("/api/v1/service", tags=["settings"], summary="State of the service that keeps an engine open")
    async def service() -> ServiceState:
        return await engine.service()

    @router.post("/api/v1/service/{action}", tags=["settings"], summary="Start, stop, restart, enable or disable it")
    async def control_service(action: ServiceAction) -> ServiceState:
        return await engine.control_service(action)

    return router
