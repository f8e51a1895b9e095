"""The HTTP application: the engine's calls as routes, and what stands before them."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import nullcontext
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from pydantic.warnings import UnsupportedFieldAttributeWarning

from engine.api import EngineApi
from engine.http.access import Access
from engine.http.body_limit import BodyLimit
from engine.http.build_routes import build_router
from engine.http.caller_mark import CallerMark
from engine.http.exchange_routes import exchange_router
from engine.http.execute import execute_router
from engine.http.in_flight import InFlight, Need
from engine.http.live_routes import live_router, vm_router
from engine.http.operator_only import refuse_operator
from engine.http.past_routes import past_router, stats_router
from engine.http.prometheus import RunMetrics
from engine.http.responses import install_handlers
from engine.http.routes import inventory_router, operator_router
from engine.http.settings_routes import settings_router
from engine.settings import Settings

# FastAPI gives parameters that are whole models an alias, which pydantic tells the operator does nothing. It need not.
warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)


def create_app(
    engine: EngineApi,
    settings: Settings,
    *,
    trusted: bool,
    stopping: asyncio.Event | None = None,
    need: Need = nullcontext,
) -> FastAPI:
    """The application over ``engine``. Setting ``stopping`` ends every run and stream that it serves; each request is
    answered inside a ``need``.

    ``trusted`` is for the unix socket, which only its owner can open: no token and no guard, every call allowed.
    Otherwise requests need ``settings.api_token``; where that is empty, which is for loopback addresses only, the
    calls that change the host are refused.
    """
    stopping = stopping or asyncio.Event()
    metrics = RunMetrics()
    # Serves the pages at /docs with assets of its own: the host may have no way out.
    app = FastAPIOffline(title="vmdeck", version=version("vmdeck"), redoc_url=None, redirect_slashes=False)
    install_handlers(app)
    guarded = not trusted and bool(settings.api_token)
    documented = [Depends(HTTPBearer(auto_error=False))] if guarded else []  # enforced by Access; here for /docs
    operator = [] if trusted or guarded else [Depends(refuse_operator)]
    app.include_router(execute_router(engine, metrics, stopping, trusted=trusted), dependencies=documented)
    app.include_router(inventory_router(engine, metrics, stopping, operator=not operator), dependencies=documented)
    open_routers = (live_router(engine, stopping, role="viewer" if operator else "operator"), stats_router(engine))
    for router in open_routers:
        app.include_router(router, dependencies=documented)
    operator_routers = (
        *(operator_router(engine), build_router(engine), exchange_router(engine)),
        *(vm_router(engine, stopping), past_router(engine), settings_router(engine)),
    )
    for router in operator_routers:
        app.include_router(router, dependencies=documented + operator)
    app.add_middleware(BodyLimit)
    app.add_middleware(CallerMark, trusted=trusted)
    if not trusted:
        app.add_middleware(Access, token=settings.api_token)
    app.add_middleware(InFlight, need=need)
    return app
