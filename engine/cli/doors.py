"""Commands that hand over to another part: the console, and the agent inside a microVM."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.session import Unjailed
from engine.cli.ways_in import open_console
from engine.errors import InputError


class Color(StrEnum):
    AUTO = "auto"
    TRUECOLOR = "truecolor"
    C256 = "256"
    C16 = "16"
    NONE = "none"


def console(
    connect: Annotated[
        str | None, typer.Option(metavar="URL|SOCKET", help="An engine elsewhere: its API's URL, or its socket.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holds the token for --connect; or set VMDECK_API_TOKEN.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Look only: nothing can be run or changed.")] = False,
    unjailed: Unjailed = False,
    color: Annotated[Color, typer.Option(help="Colours to use; auto judges by NO_COLOR, COLORTERM and TERM.")] = (
        Color.AUTO
    ),
    ascii_only: Annotated[bool, typer.Option("--ascii", help="ASCII alone, also where the locale says UTF-8.")] = False,
) -> None:
    """Open the console: on the engine that serves this host's data folder, or on one of its own."""
    code = open_console(
        connect, token_file, read_only=read_only, unjailed=unjailed, colours=color.value, ascii_only=ascii_only
    )
    raise typer.Exit(code)


def guest() -> None:
    """Be the agent: process 1 of a microVM, which vmdeck starts itself."""
    if os.getpid() != 1:
        raise InputError("This is the agent: it runs as process 1 of a microVM, not here", remedy="Use `vmdeck host`")
    from guest.init import main

    main()
