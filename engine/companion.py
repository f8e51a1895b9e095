"""A console's engine, in a process of its own: what it does blocks no console, and a closed console ends no job.

``reached`` is the console's side: the engine that serves the data folder's socket, else one that it starts there.
``serve_while_needed`` is the other: that engine serves the socket until no viewer, no run and no job is left.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, cast

from engine import problem
from engine.errors import InternalError, NotReadyError
from engine.folders import config_dir
from engine.listening import listens
from engine.lock import holder
from engine.own_folder import make_own_folder, require_own_folder
from engine.settings import Settings

COMMAND = ("serve", "--while-needed")
LISTENING = "Listening on "
GRACE_S = 10.0
"""How long it waits for a viewer, so that a console which is opened again finds it."""

_NEEDED = re.compile(
    r"VMDECK_.*|PATH|HOME|USER|LOGNAME|SUDO_U(SER|ID)"  # settings, programs, folders, and whom setup does things for
    r"|XDG_.*|TMPDIR|TZ|LANG|LANGUAGE|LC_.*"
    r"|https?_proxy|all_proxy|no_proxy|HTTPS?_PROXY|ALL_PROXY|NO_PROXY|SSL_CERT_(FILE|DIR)"  # the way to downloads
    r"|AWS_.*|DOCKER_.*"  # for the object store, and for images that Docker has
)
_FOLDERS = ("data_dir", "runtime_dir")
_PATHS = (*_FOLDERS, "qemu_binary", "firecracker_binary", "jailer_binary")
_UNIX = "unix:"
_LOG_BYTES = 1 << 20
_LAST_WORDS_BYTES = 2000
_LAST_LINES = 4
_log = logging.getLogger(__name__)


# --- the console's side


@asynccontextmanager
async def reached(
    settings: Settings, flags: Sequence[str], tell: Callable[[str], None], *, may_start: bool
) -> AsyncGenerator[Path]:
    """The socket of the engine that owns the data folder; where none listens and one ``may_start``, it is started.

    ``flags`` go on the command line of an engine that is started; ``tell`` hears what it waits for. Raises what kept
    it from starting, and NotReadyError for a runtime folder that is not our own.
    """
    _, elsewhere = holder(settings.data_lock_path)  # the owner may have another runtime folder
    if _serves(settings.socket_path):
        yield settings.socket_path
    elif elsewhere is not None and _serves(elsewhere):
        yield elsewhere
    elif may_start:
        yield await _start(settings, flags, tell)
    else:
        yield settings.socket_path


def _serves(path: Path) -> bool:
    """Whether an engine of ours does. Raises NotReadyError where others could be answering in its place."""
    try:
        if not path.exists():
            return False
        require_own_folder(path.parent)
        return listens(path)
    except OSError:  # whoever starts an engine is told why
        return False


async def _start(settings: Settings, flags: Sequence[str], tell: Callable[[str], None]) -> Path:
    """Start the engine and wait until it, or another that was quicker, listens: its socket."""
    log = settings.engine_log
    began = log.stat().st_size if log.exists() else 0
    said = await asyncio.to_thread(_spawn, settings, flags)
    socket = await _listening(said, tell)
    if socket is None:
        raise InternalError(
            f"The engine ended before it was ready: {_last_words(log, began)}",
            remedy=f"Its log is {log}; what `vmdeck serve` says may tell more",
        )
    return socket


def _spawn(settings: Settings, flags: Sequence[str]) -> IO[bytes]:
    """Start the engine's process; what it says on standard output. Raises NotReadyError."""
    log = settings.engine_log
    make_own_folder(log.parent)
    try:
        words = _open_log(log)
    except OSError as error:
        raise NotReadyError(
            f"The log {log} can't be written: {error.strerror}", remedy="Move it away; it is the engine's own"
        ) from None
    said, saying = os.pipe()
    try:
        # In a session of its own, so that neither ctrl+c nor a terminal that goes can end it.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.cli", *COMMAND, *flags],
            stdin=subprocess.DEVNULL,
            stdout=saying,
            stderr=words,
            start_new_session=True,
            cwd="/",  # it may stay for weeks, and would keep the console's folder from being unmounted
            env=_environment(settings),
        )
    finally:
        os.close(words)
        os.close(saying)
    # Reaped whenever it ends. Not asyncio's kind of process: that is killed with the event loop that started it.
    threading.Thread(target=process.wait, name="engine-reaper", daemon=True).start()
    return os.fdopen(said, "rb")


def _open_log(path: str | Path) -> int:
    """For its owner alone, and never what a link leads to. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _environment(settings: Settings) -> dict[str, str]:
    """What an engine needs of its starter's: the rest may hold secrets, and would stay as long as the engine does.

    Its folders are named where they would be others seen from its own working folder.
    """
    found = {name: value for name, value in os.environ.items() if _NEEDED.fullmatch(name)}
    if "VMDECK_CONFIG_DIR" in found:
        found["VMDECK_CONFIG_DIR"] = str(config_dir().absolute())
    for name in _PATHS:
        value = str(getattr(settings, name))
        if value and not Path(value).is_absolute() and (name in _FOLDERS or "/" in value):
            found[f"VMDECK_{name.upper()}"] = str(Path(value).absolute())
    return found


async def _listening(said: IO[bytes], tell: Callable[[str], None]) -> Path | None:
    """Read what an engine says while it starts: what it waits for, and where it listens; None where it ends before.

    Raises what a problem document says.
    """
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), said
    )
    try:
        while line := (await reader.readline()).decode(errors="replace").strip():
            if line.startswith(LISTENING):
                return Path(line.removeprefix(LISTENING).removeprefix(_UNIX))
            if line.startswith("{"):
                raise problem.to_error(cast("dict[str, object]", json.loads(line)))
            tell(line)
    finally:
        transport.close()
    return None


def _last_words(log: Path, began: int) -> str:
    """The last lines that were written after byte ``began``."""
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(min(began, end), end - _LAST_WORDS_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return " / ".join([line.strip() for line in lines if line.strip()][-_LAST_LINES:]) or "it said nothing"


# --- the engine's side


async def serve_while_needed(settings: Settings) -> None:
    """Own the data folder and serve its socket until nobody needs it; returns at once where another engine serves.

    What the starter should know goes to standard output, a line each, until the socket is ready.
    """
    from engine.attach import open_engine
    from engine.client import RemoteEngine
    from engine.engine import Engine
    from engine.http.server import serve

    _keep_log(settings.engine_log)
    async with open_engine(settings, _say, caller="console", serves="console") as engine:
        if isinstance(engine, RemoteEngine):
            _say(f"{LISTENING}{_UNIX}{engine.where}")
            return
        assert isinstance(engine, Engine)  # noqa: S101 - the other kind that is opened
        needless = asyncio.create_task(engine.until_needless(GRACE_S))
        try:
            where = settings.socket_path
            await serve(engine, settings, host=None, socket=where, ready=_ready, until=needless, need=engine.need)
            if needless.done():
                _log.info("nobody has asked for anything in %g s, and nothing is under way: this engine ends", GRACE_S)
        finally:
            needless.cancel()


def _keep_log(path: Path) -> None:
    """Events and whatever else is written to standard error go to one bounded file."""
    handler = _Log(path, maxBytes=_LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and stop are ours to tell


class _Log(RotatingFileHandler):
    """Takes standard error along to the new file."""

    def _open(self) -> TextIOWrapper:
        return os.fdopen(_open_log(self.baseFilename), "a", encoding="utf-8", errors="backslashreplace")

    def doRollover(self) -> None:
        super().doRollover()
        if self.stream is not None:
            os.dup2(self.stream.fileno(), sys.stderr.fileno())


def _say(line: str) -> None:
    print(line, flush=True)


def _ready(addresses: Sequence[str]) -> None:
    for address in addresses:
        _log.info("%s%s, for as long as a console needs it", LISTENING, address)
    _say(f"{LISTENING}{addresses[0]}")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the pipe's reader goes with the console that started this
