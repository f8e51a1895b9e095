"""Commands that hand over to another part: the console, and the agent inside a microVM."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.session import load_settings
from engine.errors import InputError, NotReadyError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from engine.api import EngineApi

FRONTENDS = "vmdeck.frontends"


def console(
    read_only: Annotated[bool, typer.Option("--read-only", help="Look only: nothing can be run or changed.")] = False,
) -> None:
    """Open the console."""
    settings = load_settings()
    found = entry_points(group=FRONTENDS, name="console")
    if not found:
        raise NotReadyError("The console is not installed", remedy="Install the whole vmdeck distribution")

    def engine_factory() -> AbstractAsyncContextManager[EngineApi]:
        from engine.attach import open_engine

        return open_engine(settings, _unseen, caller="console")

    code: int | None = next(iter(found)).load()(engine_factory, read_only=read_only)
    raise typer.Exit(code or 0)


def guest() -> None:
    """Be the agent: process 1 of a microVM, which vmdeck starts itself."""
    if os.getpid() != 1:
        raise InputError("This is the agent: it runs as process 1 of a microVM, not here", remedy="Use `vmdeck host`")
    from guest.init import main

    main()


def _unseen(_text: str) -> None:
    """The console shows by itself that it waits for its engine; a line on stderr would tear its screen."""
