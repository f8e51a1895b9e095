"""Opens the console, on the engine of this host or on one elsewhere: what ``vmdeck`` alone does.

Everything that is imported here is waited for before the console's first paint, so this is apart from the command's
declaration, and what an engine needs comes after it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.errors import InputError, NotReadyError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from engine.api import EngineApi
    from engine.models import Caller
    from engine.settings import Settings

FRONTENDS = "vmdeck.frontends"
_URLS = ("http://", "https://")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OTHERS = 0o077
_CALLER: Caller = "console"


def open_console(
    connect: str | None = None,
    token_file: Path | None = None,
    *,
    read_only: bool = False,
    unjailed: bool = False,
    colours: str = "auto",
    ascii_only: bool = False,
) -> int:
    """Show the console until the operator leaves; its exit code. Raises InputError and NotReadyError."""
    found = entry_points(group=FRONTENDS, name="console")
    if not found:
        raise NotReadyError("The console is not installed", remedy="Install the whole vmdeck distribution")
    run = next(iter(found)).load()
    if connect is None:
        if token_file is not None:
            raise InputError("--token-file is for --connect", remedy="Leave it out, or say where to connect")

        def here(tell: Callable[[str], None], *, may_start: bool) -> AbstractAsyncContextManager[EngineApi]:
            return _engine_here(unjailed, tell, may_start=may_start)

        return run(here, read_only=read_only, colours=colours, ascii_only=ascii_only)
    if unjailed:
        raise InputError("--unjailed is for an engine of this host", remedy="Start the other one with it")
    where = _address(connect)
    token, warnings = _token(token_file, where)

    def there(tell: Callable[[str], None], *, may_start: bool) -> AbstractAsyncContextManager[EngineApi]:
        return _engine_there(where, token)

    return run(there, read_only=read_only, warnings=warnings, colours=colours, ascii_only=ascii_only)


# --- ways to an engine. What they import takes a while, so threads do: the console answers keys meanwhile.


@asynccontextmanager
async def _engine_here(unjailed: bool, tell: Callable[[str], None], *, may_start: bool) -> AsyncGenerator[EngineApi]:
    settings = await asyncio.to_thread(_settings, unjailed)
    client = await asyncio.to_thread(import_module, "engine.client")
    companion = await asyncio.to_thread(import_module, "engine.companion")
    async with (
        companion.reached(settings, ("--unjailed",) if unjailed else (), tell, may_start=may_start) as path,
        client.RemoteEngine(path, caller=_CALLER, brief_results=True) as engine,
    ):
        yield engine


def _settings(unjailed: bool) -> Settings:
    from engine.cli.chosen_settings import jail_of, load_settings

    return load_settings(jail=jail_of(unjailed=unjailed))


@asynccontextmanager
async def _engine_there(where: str, token: str) -> AsyncGenerator[EngineApi]:
    client = await asyncio.to_thread(import_module, "engine.client")
    async with client.RemoteEngine(where, token, caller=_CALLER, brief_results=True) as engine:
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
