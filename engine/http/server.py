"""Serves the HTTP application on a TCP address, on the engine's unix socket, or on both, until told to stop.

Stopping ends what is being served: each run and stream gets a last error, its VM is gone before the server is.
The engine itself belongs to the caller.
"""

from __future__ import annotations

import asyncio
import signal
import socket as sockets
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from engine.api import EngineApi
from engine.errors import NotReadyError
from engine.http.access import is_loopback
from engine.http.app import create_app
from engine.http.in_flight import Need
from engine.http.sockets import tcp_socket, unix_socket
from engine.settings import Settings

SHUTDOWN_GRACE_S = 30
KEEP_ALIVE_S = 60


class Listener(uvicorn.Server):
    """A uvicorn server on one socket that leaves signals and logging to its owner."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
            )
        )
        self.accepting = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield

    async def startup(self, sockets: list[sockets.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


async def serve(
    engine: EngineApi,
    settings: Settings,
    *,
    host: str | None,
    port: int = 0,
    socket: Path | None = None,
    ready: Callable[[Sequence[str]], None] | None = None,
    until: asyncio.Future[None] | None = None,
    need: Need = nullcontext,
) -> None:
    """Serve until SIGINT or SIGTERM; a second one doesn't wait for what is still being served.

    ``host`` None listens on ``socket`` only. ``ready`` is called with the addresses once they accept. ``until`` ends
    it as a first signal does; each request is answered inside a ``need``. Raises NotReadyError for an address other
    than loopback without a token, and what ``tcp_socket`` and ``unix_socket`` raise.
    """
    if host is not None:
        require_token(host, settings)
    stop, servers = asyncio.Event(), list[asyncio.Task[None]]()
    with _signals(stop, servers):
        async with AsyncExitStack() as stack:
            addresses: list[str] = []
            if socket is not None:
                listener = stack.enter_context(unix_socket(socket))
                server = running_server(engine, settings, listener, trusted=True, need=need)
                servers.append(await stack.enter_async_context(server))
                addresses.append(f"unix:{socket}")
            if host is not None:
                listener = stack.enter_context(tcp_socket(host, port))
                server = running_server(engine, settings, listener, trusted=False, need=need)
                servers.append(await stack.enter_async_context(server))
                addresses.append(_url(listener))
            if ready is not None:
                ready(addresses)
            stopping = asyncio.create_task(stop.wait())
            ends = {stopping, *servers, *([] if until is None else [until])}
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()


@asynccontextmanager
async def serve_socket(engine: EngineApi, settings: Settings) -> AsyncGenerator[Path]:
    """Serve ``settings.socket_path`` while the block runs, in a loop whose signals belong to another."""
    with unix_socket(settings.socket_path) as listener:
        async with running_server(engine, settings, listener, trusted=True):
            yield settings.socket_path


def require_token(host: str, settings: Settings) -> None:
    """Raises NotReadyError where others than this host's own programs could connect and no token guards that."""
    if not is_loopback(host) and not settings.api_token:
        raise NotReadyError(
            f"{host} is not a loopback address, so a token is needed",
            remedy="Set VMDECK_API_TOKEN (or api_token in the config file), or use --host 127.0.0.1",
        )


@asynccontextmanager
async def running_server(
    engine: EngineApi, settings: Settings, listener: sockets.socket, *, trusted: bool, need: Need = nullcontext
) -> AsyncGenerator[asyncio.Task[None]]:
    """Serve one listening socket while the block runs; the task that is yielded ends early only by a fault."""
    stopping = asyncio.Event()
    server = Listener(create_app(engine, settings, trusted=trusted, stopping=stopping, need=need))
    task = asyncio.create_task(server.serve([listener]))
    accepting = asyncio.create_task(server.accepting.wait())
    try:
        await asyncio.wait({task, accepting}, return_when=asyncio.FIRST_COMPLETED)
        yield task
    finally:
        accepting.cancel()
        stopping.set()
        server.should_exit = True
        await asyncio.wait({task})
        if not task.cancelled() and (failure := task.exception()) is not None:
            raise failure


@contextmanager
def _signals(stop: asyncio.Event, servers: Sequence[asyncio.Task[None]]) -> Generator[None]:
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)

    def on_signal() -> None:
        if stop.is_set():
            for server in servers:
                server.cancel()
        stop.set()

    for each in handled:
        loop.add_signal_handler(each, on_signal)
    try:
        yield
    finally:
        for each in handled:
            loop.remove_signal_handler(each)


def _url(listener: sockets.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
