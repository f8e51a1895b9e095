"""Commands that hand over to another part: the console, and the agent inside a microVM."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from engine.cli.session import Unjailed, jail_of, load_settings
from engine.errors import InputError, NotReadyError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from engine.api import EngineApi
    from engine.settings import Settings

FRONTENDS = "vmdeck.frontends"
_URLS = ("http://", "https://")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OTHERS = 0o077


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
    found = entry_points(group=FRONTENDS, name="console")
    if not found:
        raise NotReadyError("The console is not installed", remedy="Install the whole vmdeck distribution")
    run = next(iter(found)).load()
    if connect is None:
        if token_file is not None:
            raise InputError("--token-file is for --connect", remedy="Leave it out, or say where to connect")
        settings = load_settings(jail=jail_of(unjailed=unjailed))
        flags = ("--unjailed",) if unjailed else ()

        def here(tell: Callable[[str], None], *, may_start: bool) -> AbstractAsyncContextManager[EngineApi]:
            return _engine_here(settings, flags, tell, may_start=may_start)

        code: int | None = run(here, read_only=read_only, colours=color.value, ascii_only=ascii_only)
    else:
        if unjailed:
            raise InputError("--unjailed is for an engine of this host", remedy="Start the other one with it")
        where = _address(connect)
        token, warnings = _token(token_file, where)

        def there(tell: Callable[[str], None], *, may_start: bool) -> AbstractAsyncContextManager[EngineApi]:
            return _engine_there(where, token)

        code = run(there, read_only=read_only, warnings=warnings, colours=color.value, ascii_only=ascii_only)
    raise typer.Exit(code or 0)


def guest() -> None:
    """Be the agent: process 1 of a microVM, which vmdeck starts itself."""
    if os.getpid() != 1:
        raise InputError("This is the agent: it runs as process 1 of a microVM, not here", remedy="Use `vmdeck host`")
    from guest.init import main

    main()


# --- ways to an engine. What they import takes a while, so threads do: the console answers keys meanwhile.


@asynccontextmanager
async def _engine_here(
    settings: Settings, flags: Sequence[str], tell: Callable[[str], None], *, may_start: bool
) -> AsyncGenerator[EngineApi]:
    client = await asyncio.to_thread(import_module, "engine.client")
    companion = await asyncio.to_thread(import_module, "engine.companion")
    async with (
        companion.reached(settings, flags, tell, may_start=may_start) as path,
        client.RemoteEngine(path) as engine,
    ):
        yield engine


@asynccontextmanager
async def _engine_there(where: str, token: str) -> AsyncGenerator[EngineApi]:
    client = await asyncio.to_thread(import_module, "engine.client")
    async with client.RemoteEngine(where, token) as engine:
        yield engine


def _address(connect: str) -> str:
    """Raises InputError for what is neither a URL nor a path, and for a URL with a password in it."""
    if not connect.startswith(_URLS):
        if "/" not in connect:
            raise InputError(
                f"{connect!r} is neither a URL nor the path of a socket", remedy=f"Try --connect http://{connect}"
            )
        return connect
    try:
        url = urlsplit(connect)
        named = bool(url.hostname) and url.port != 0
    except ValueError:
        named = False
        url = None
    if url is None or not named:
        raise InputError(f"{connect!r} is no URL of a server", remedy="Write it as http://HOST:PORT")
    if url.username or url.password:
        raise InputError(
            "A URL with a name or password in it shows it to every user of this host",
            remedy="Leave it out; the token goes into VMDECK_API_TOKEN or a file for --token-file",
        )
    return connect.rstrip("/")


def _token(file: Path | None, where: str) -> tuple[str, Sequence[str]]:
    """The token for ``where``, and what is unsafe about how it is kept or sent. Raises InputError."""
    if not where.startswith(_URLS):
        return "", ()
    warnings: list[str] = []
    token, origin = os.environ.get("VMDECK_API_TOKEN", ""), "VMDECK_API_TOKEN"
    if file is not None:
        token, origin = _read(file), str(file)
        if file.stat().st_mode & _OTHERS:
            warnings.append(f"Other users of this host can read the token in {file}. Mend it: chmod 600 {file}")
    token = token.strip()
    if (file is not None and not token) or not (token.isascii() and token.isprintable()):
        raise InputError(f"{origin} holds no token", remedy="A token is one line of ASCII text")
    url = urlsplit(where)
    if token and url.scheme == "http" and url.hostname not in _LOOPBACK:
        warnings.append("The token goes to that host unencrypted. Use https, or a tunnel: ssh -L 8080:127.0.0.1:8080")
    return token, warnings


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "it is not text"
    raise InputError(f"The token file {file} can't be read: {reason}", remedy="Name a file of yours")
