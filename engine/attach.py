"""Which engine a front end talks to: the one that owns the data folder, through its socket, or one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from engine.api import EngineApi
from engine.errors import ConflictError, NotReadyError
from engine.models import Caller, EngineIdentity, Serves
from engine.own_folder import require_own_folder
from engine.settings import Settings

_LOOK_AGAIN_S = 0.1


@asynccontextmanager
async def open_engine(
    settings: Settings,
    wait_notice: Callable[[str], None] = lambda _: None,
    *,
    caller: Caller = "library",
    only_looks: bool = False,
    serves: Serves = "command",
) -> AsyncGenerator[EngineApi]:
    """Attach to a daemon where one serves; else own the data folder, waiting for a short-lived owner to end.

    A daemon with the same data folder and another runtime folder is attached to as well.

    ``wait_notice`` is told once whom it waits for. An engine that ``only_looks`` owns nothing, and waits for nobody.
    Raises NotReadyError.
    """
    told, socket = False, settings.socket_path
    while True:
        if socket.exists():
            from engine.client import RemoteEngine

            require_own_folder(socket.parent)
            remote = RemoteEngine(socket, caller=caller)
            async with remote, aclosing(remote.attach()) as beats:
                if await _answers(beats):  # and stays a viewer, so that the engine of a closed console stays too
                    yield remote
                    return
        from engine.engine import Engine

        engine = Engine(settings, caller=caller, only_looks=only_looks, serves=serves)
        try:
            await engine.__aenter__()
        except ConflictError as error:
            asked, socket = socket, Path(str(error.context.get("socket") or settings.socket_path))
            if socket != asked:
                continue
            if not told:
                wait_notice(f"{error.message}; waiting for it")
                told = True
            await asyncio.sleep(_LOOK_AGAIN_S)  # flock(2) has no way to wait that can be cancelled
            continue
        try:
            yield engine
        finally:
            await engine.__aexit__(None, None, None)
        return


async def _answers(beats: AsyncGenerator[EngineIdentity]) -> bool:
    """False for a socket file that a killed engine left."""
    try:
        await anext(beats)
    except NotReadyError:
        return False
    return True
