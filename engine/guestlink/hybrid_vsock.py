"""To a port of the guest through the unix socket that Firecracker gives a VM's vsock device.

The host writes ``CONNECT <port>``, and one line ``OK <port of the host's end>`` comes back once a program in the guest
has accepted. All that follows the line is the guest's. A VM whose guest does not listen closes the connection; one
whose guest has no driver yet says nothing at all.
"""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

from engine.errors import InternalError
from engine.guestlink.stream import SocketStream
from engine.guestlink.unix_socket import connected

_LINE_MAX = 32  # "OK ", ten digits and the line's end take 14
_ACCEPTED = re.compile(rb"OK [0-9]{1,10}\n")
_ATTEMPT_S = 2.0  # Firecracker itself gives up a request that the guest does not answer in 2 s
_RETRY_S = 0.005


class NotListeningError(InternalError):
    """Nothing in the guest accepts connections on the port now; it may later."""


async def connect(path: str | Path, port: int, deadline_s: float) -> SocketStream:
    """One attempt. ``path`` has at most 107 bytes.

    Raises NotListeningError where the guest refused or said nothing in ``deadline_s`` seconds, InternalError where
    there is no such socket or what answers is no vsock device of Firecracker.
    """
    try:
        async with asyncio.timeout(deadline_s):
            sock = await connected(str(path))
            try:
                await _handshake(sock, port)
            except BaseException:
                sock.close()
                raise
    except TimeoutError:
        raise NotListeningError(f"The guest did not answer on vsock port {port} within {deadline_s:g} s") from None
    except OSError as error:
        raise InternalError(f"The VM's vsock can't be reached: {error.strerror or error}") from error
    try:
        return await SocketStream.open(sock)
    except BaseException:
        sock.close()
        raise


async def connect_once_listening(path: str | Path, port: int, deadline_s: float) -> SocketStream:
    """Attempts until the guest listens, which a booting one does late. Raises as ``connect`` at the deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while True:
        left = end - loop.time()
        try:
            return await connect(path, port, min(_ATTEMPT_S, max(left, _RETRY_S)))
        except NotListeningError as error:
            if loop.time() + _RETRY_S >= end:
                raise NotListeningError(
                    f"The guest's agent was not reached within {deadline_s:g} s: {error.message}",
                    remedy="See the guest's console for how far it came.",
                ) from None
        await asyncio.sleep(_RETRY_S)


async def connect_once_greeted(path: str | Path, port: int, deadline_s: float) -> SocketStream:
    """Connections until the guest says something on one, for a program that speaks first.

    A machine that was just restored resets its connections once it wakes, those made meanwhile included: a connection
    that ends without a word says nothing of the next. Raises as ``connect`` at the deadline.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    why = "it accepted a connection and said nothing"
    while True:
        stream = await connect_once_listening(path, port, max(end - loop.time(), _RETRY_S))
        try:
            async with asyncio.timeout_at(end):
                if await stream.has_words():
                    return stream
            why = "it ended its connections without a word"
        except TimeoutError:
            pass  # what earlier connections showed tells more than that the last one was cut short
        except BaseException:
            await stream.close()
            raise
        await stream.close()
        if loop.time() + _RETRY_S >= end:
            raise NotListeningError(
                f"The guest's agent was not heard within {deadline_s:g} s: {why}",
                remedy="See the guest's console for how far it came.",
            )
        await asyncio.sleep(_RETRY_S)


async def _handshake(sock: socket.socket, port: int) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, b"CONNECT %d\n" % port)
        line = await _line(sock)
    except ConnectionError:  # closed between our connect and our words
        line = b""
    if not line:
        raise NotListeningError(f"Nothing in the guest listens on vsock port {port}")
    if _ACCEPTED.fullmatch(line) is None:
        raise InternalError(
            f"The VM's vsock answered {line!r} in place of OK", remedy="Another program may hold the VM's socket."
        )


async def _line(sock: socket.socket) -> bytes:
    """Up to the first line's end, never past it: what follows belongs to the stream. Empty where there was nothing."""
    loop = asyncio.get_running_loop()
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < _LINE_MAX:
        byte = await loop.sock_recv(sock, 1)
        if not byte:
            break
        line += byte
    return bytes(line)
