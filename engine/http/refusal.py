"""Refuses a request whose body has not been read: answers at once, then lets the client come to reading the answer.

Closing a connection while the client still sends resets it, and most clients then report the reset and not the
answer. So what still comes is dropped for a while: bounded in bytes and time, and none of it is kept.
"""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope, Send

from engine.http.responses import problem_response
from engine.problem import Problem

DROP_BYTES = 64 * 1024 * 1024
DROP_SILENCE_S = 2.0
DROP_S = 20.0


async def refuse(
    document: Problem, scope: Scope, receive: Receive, send: Send, headers: dict[str, str] | None = None
) -> None:
    """Send the problem and end the connection, whatever body the client still sends."""

    async def send_and_drop(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({**message, "more_body": True})
        await _drop_body(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    await problem_response(document, {"Connection": "close", **(headers or {})})(scope, receive, send_and_drop)


async def _drop_body(receive: Receive) -> None:
    dropped = 0
    try:
        async with asyncio.timeout(DROP_S):
            while dropped < DROP_BYTES:
                async with asyncio.timeout(DROP_SILENCE_S):
                    message = await receive()
                if not message.get("more_body", False):
                    return
                dropped += len(message.get("body", b""))
    except TimeoutError:
        return  # it had its time
