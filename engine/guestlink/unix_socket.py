"""Connecting to a unix socket that may have all the callers it can keep waiting."""

from __future__ import annotations

import asyncio
import socket

_RETRY_S = 0.002


async def connected(path: str) -> socket.socket:
    """A connection that doesn't block, the caller's to close. Waits as long as the backlog is full.

    The loop's own sock_connect takes the kernel's EAGAIN, which is a refusal with unix sockets, for a connection that
    is under way, and comes back with a socket that isn't connected. Raises OSError.
    """
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        while True:
            try:
                connecting.connect(path)
            except BlockingIOError:
                await asyncio.sleep(_RETRY_S)  # nothing tells when there is room again
            else:
                return connecting
    except BaseException:
        connecting.close()
        raise
