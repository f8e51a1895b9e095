"""Commands that hand over to another part: the console, and the agent inside a microVM."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from enum import StrEnum
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.session import Unjailed, jail_of, load_settings
from engine.errors import InputError, NotReadyError, VmdeckError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from engine.api import EngineApi
    from engine.settings import Settings

FRONTENDS = "vmdeck.frontends"
_log = logging.getLogger(__name__)


class Color(StrEnum):
    AUTO = "auto"
    TRUECOLOR = "truecolor"
    C256 = "256"
    C16 = "16"
    NONE = "none"


def console(
    read_only: Annotated[bool, typer.Option("--read-only", help="Look only: nothing can be run or changed.")] = False,
    unjailed: Unjailed = False,
    color: Annotated[Color, typer.Option(help="Colours to use; auto judges by NO_COLOR, COLORTERM and TERM.")] = (
        Color.AUTO
    ),
    ascii_only: Annotated[bool, typer.Option("--ascii", help="ASCII alone, also where the locale says UTF-8.")] = False,
) -> None:
    """Open the console."""
    settings = load_settings(jail=jail_of(unjailed=unjailed))
    found = entry_points(group=FRONTENDS, name="console")
    if not found:
        raise NotReadyError("The console is not installed", remedy="Install the whole vmdeck distribution")

    def engine_factory() -> AbstractAsyncContextManager[EngineApi]:
        return _shared_engine(settings)

    code: int | None = next(iter(found)).load()(
        engine_factory, read_only=read_only, colours=color.value, ascii_only=ascii_only
    )
    raise typer.Exit(code or 0)


def guest() -> None:
    """Be the agent: process 1 of a microVM, which vmdeck starts itself."""
    if os.getpid() != 1:
        raise InputError("This is the agent: it runs as process 1 of a microVM, not here", remedy="Use `vmdeck host`")
    from guest.init import main

    main()


@asynccontextmanager
async def _shared_engine(settings: Settings) -> AsyncGenerator[EngineApi]:
    """The engine for a console. One of its own is open to commands too, through its socket: a console stays for weeks,
    and they would wait for it."""
    from engine.attach import open_engine
    from engine.client import RemoteEngine

    async with open_engine(settings, _unseen, caller="console") as engine:
        if isinstance(engine, RemoteEngine):
            yield engine
            return
        serving = asyncio.create_task(_serve(engine, settings))
        try:
            yield engine
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def _serve(engine: EngineApi, settings: Settings) -> None:
    # Half a second of imports, so in a thread: keys are answered meanwhile.
    server = await asyncio.to_thread(import_module, "engine.http.server")
    try:
        async with server.serve_socket(engine, settings):
            await asyncio.Event().wait()
    except VmdeckError as error:
        _log.warning("commands can't attach to this console: %s", error)


def _unseen(_text: str) -> None:
    """The console shows by itself that it waits for its engine; a line on stderr would tear its screen."""
