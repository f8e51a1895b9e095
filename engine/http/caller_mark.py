"""Notes for each request who sent it, so that history can tell. Only the unix socket's callers are believed."""

from __future__ import annotations

from typing import cast, get_args

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.caller import CALLER_HEADER, asking
from engine.models import Caller

_CALLERS: tuple[str, ...] = get_args(Caller)


class CallerMark:
    """ASGI middleware. Whoever is not ``trusted``, or says nothing that is known, is "http"."""

    def __init__(self, app: ASGIApp, *, trusted: bool) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = Headers(scope=scope).get(CALLER_HEADER) if self._trusted and scope["type"] == "http" else None
        asking.set(cast("Caller", said) if said in _CALLERS else "http")
        await self._app(scope, receive, send)
