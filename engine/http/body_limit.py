"""Refuses a request body over the limit before more than the limit has been read."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.http.refusal import refuse
from engine.http.responses import http_problem

MAX_BODY_BYTES = 16 * 1024 * 1024


class BodyLimit:
    """ASGI middleware: 413 by Content-Length at once, else when the bytes that came pass the limit."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = int(declared) if (declared := Headers(scope=scope).get("content-length", "")).isdecimal() else 0
        if received <= self._max_bytes:
            received = await self._count(scope, receive, send)
        if received > self._max_bytes:
            await refuse(http_problem(413, f"The body is over {self._max_bytes} bytes"), scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Bytes of body that the application was sent. Over the limit, its own answer to that is held back."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413)  # the one exception that the framework lets through while it reads a body
            return message

        async def unless_over(message: Message) -> None:
            if received <= self._max_bytes:
                await send(message)

        await self._app(scope, counted, unless_over)
        return received
