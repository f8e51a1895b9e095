"""Marks the time in which a request is answered, for an engine that stays only while somebody needs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from starlette.types import ASGIApp, Receive, Scope, Send

Need = Callable[[], AbstractContextManager[None]]


class InFlight:
    """ASGI middleware: inside ``need`` from a request's begin until its last byte, or until its client has gone."""

    def __init__(self, app: ASGIApp, *, need: Need) -> None:
        self._app = app
        self._need = need

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._need():
            await self._app(scope, receive, send)
