"""A console's engine, in a process of its own: what it does blocks no console, and a closed console ends no job.

``reached`` is the console's side: the engine that serves the data folder's socket, else one that it starts there.
``serve_while_needed`` is the other: that engine serves the socket until no viewer, no run and no job is left.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, cast

from engine import problem
from engine.errors import InternalError, NotReadyError
from engine.settings import Settings

COMMAND = ("serve", "--while-needed")
LISTENING = "Listening on "
GRACE_S = 10.0
"""How long it waits for a viewer, so that a console which is opened again finds it."""

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
    it from starting.
    """
    if may_start and not listens(settings.socket_path):
        await _start(settings, flags, tell)
    yield settings.socket_path


def listens(path: Path) -> bool:
    """Whether an engine listens on a unix socket; a killed one leaves a file that refuses."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # a listener with a full backlog is alive: don't wait for it
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


async def _start(settings: Settings, flags: Sequence[str], tell: Callable[[str], None]) -> None:
    """Start the engine and wait until it, or another that was quicker, listens."""
    log = settings.engine_log
    began = log.stat().st_size if log.exists() else 0
    said = await asyncio.to_thread(_spawn, log, flags)
    if not await _listening(said, tell):
        raise InternalError(
            f"The engine ended before it was ready: {_last_words(log, began)}",
            remedy=f"Its log is {log}; what `vmdeck serve` says may tell more",
        )


def _spawn(log: Path, flags: Sequence[str]) -> IO[bytes]:
    """Start the engine's process; what it says on standard output. Raises NotReadyError."""
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        words = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NotReadyError(
            f"The runtime folder {log.parent} can't be used: {error.strerror}",
            remedy="Run as the user that owns it, or set VMDECK_RUNTIME_DIR to a folder of your own",
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
        )
    finally:
        os.close(words)
        os.close(saying)
    # Reaped whenever it ends. Not asyncio's kind of process: that is killed with the event loop that started it.
    threading.Thread(target=process.wait, name="engine-reaper", daemon=True).start()
    return os.fdopen(said, "rb")


async def _listening(said: IO[bytes], tell: Callable[[str], None]) -> bool:
    """Read what an engine says while it starts: what it waits for, and that it listens; False where it ends before.

    Raises what a problem document says.
    """
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), said
    )
    try:
        while line := (await reader.readline()).decode(errors="replace").strip():
            if line.startswith(LISTENING):
                return True
            if line.startswith("{"):
                raise problem.to_error(cast("dict[str, object]", json.loads(line)))
            tell(line)
    finally:
        transport.close()
    return False


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
    from engine.engine import Engine
    from engine.http.server import serve

    _keep_log(settings.engine_log)
    async with open_engine(settings, _say, caller="console", serves="console") as engine:
        if not isinstance(engine, Engine):
            _say(f"{LISTENING}unix:{settings.socket_path}")
            return
        needless = asyncio.create_task(engine.until_needless(GRACE_S))
        try:
            await serve(engine, settings, host=None, socket=settings.socket_path, ready=_ready, until=needless)
            if needless.done():
                _log.info("no viewer has come for %g s, and no run or job is under way: this engine ends", GRACE_S)
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

    def doRollover(self) -> None:
        super().doRollover()
        with Path(self.baseFilename).open("ab") as new:
            os.dup2(new.fileno(), sys.stderr.fileno())


def _say(line: str) -> None:
    print(line, flush=True)


def _ready(addresses: Sequence[str]) -> None:
    for address in addresses:
        _log.info("%s%s, for as long as a console needs it", LISTENING, address)
    _say(f"{LISTENING}{addresses[0]}")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the pipe's reader goes with the console that started this
