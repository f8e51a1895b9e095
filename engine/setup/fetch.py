"""Downloads that can be trusted: over https only, of a pinned digest and a bounded size, complete or not there at all.

Bytes go to a partial download beside the target, which a later attempt resumes, and only a content of the wanted digest
gets the target's name. What may pass (a broken connection, a busy server, silence) is tried again a few times; what
will not (a refusal, another digest) ends at once. Every error says what happened and what to do. What is pinned, and
what is done with a file, is for others to say.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from engine.errors import InputError, NotReadyError, VmdeckError
from engine.rootfs.progress import Progress, silent
from engine.rootfs.regular_file import open_regular
from engine.rootfs.staging import explained, in_thread
from engine.setup.partial import Partial
from engine.setup.source import Source, refuse_plain, shown
from engine.setup.ticker import Ticker

MAX_REDIRECTS = 5
_BLOCK = 1024 * 1024
_OK, _PART, _NO_SUCH_PART, _SERVER_ERRORS = 200, 206, 416, 500
_PASSING = frozenset({408, 425, 429})  # and the server errors
_WITHOUT_NETWORK = (
    "See that this host can reach it; or name a server that it can reach with --mirror, "
    "or bring the file and name its folder with --offline"
)
_REMEDIES = {
    401: "See what the server or a proxy asks for, or bring the file and name its folder with --offline",
    403: "See what the server or a proxy refuses, or bring the file and name its folder with --offline",
    404: "See that the URL is right, and that a mirror has this file under the same path as the original site",
    410: "See that the URL is right, or bring the file and name its folder with --offline",
}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

# Its lines name whole URLs, and those that a release site redirects to carry signatures.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download waits. ``stall_s`` is the longest silence; a link that over ``floor_over_s`` brings less than
    ``floor_bytes_s`` is too slow to be waited for. Attempts are ``pause_s`` apart at first, then twice as long each.
    """

    connect_s: float = 15
    answer_s: float = 60
    stall_s: float = 30
    floor_bytes_s: float = 2048
    floor_over_s: float = 60
    attempts: int = 5
    pause_s: float = 1


PATIENCE = Patience()


class _PassingError(Exception):
    """What may be gone at the next attempt; ``error`` is for the operator where it is not."""

    def __init__(self, error: NotReadyError) -> None:
        super().__init__(error.message)
        self.error = error


async def fetch(
    source: Source,
    target: Path,
    progress: Progress = silent,
    *,
    trust: ssl.SSLContext | None = None,
    patience: Patience = PATIENCE,
) -> None:
    """Download ``source`` to ``target``, replacing it.

    ``trust`` decides which servers are believed to be who they say; by default those that the host's or httpx's
    authorities vouch for. Raises InputError (no https), ConflictError (another process downloads it), NotReadyError
    (everything else: network, server, digest, size, disk). Cancelled, it leaves at most the partial download.
    """
    async with _claimed(target, source) as partial:
        await _download(source, partial, progress, trust, patience)
        await in_thread(partial.publish, target)


async def copy(source: Source, folder: Path, target: Path, progress: Progress = silent) -> None:
    """Take the file of ``source``'s name from ``folder`` instead of the network, with the same checks.

    Raises NotReadyError: it is missing, too large, or of another digest.
    """
    async with _claimed(target, source) as partial:
        progress(f"Taking {source.name} from {folder}")
        await in_thread(_copy, folder / source.name, source, partial)
        await in_thread(partial.publish, target)


@asynccontextmanager
async def brought(
    source: Source, place: Path, progress: Progress, offline: str | None, trust: ssl.SSLContext | None
) -> AsyncGenerator[Path, None]:
    """The file, checked as by ``fetch`` or ``copy``, while the body lasts; then it is removed.

    It is taken from the folder ``offline`` where one is given. ``place`` never comes to be: beside it a download is
    kept that did not get to its end, this process's own included.
    """
    async with _claimed(place, source) as partial:
        if offline is None:
            await _download(source, partial, progress, trust, PATIENCE)
        else:
            progress(f"Taking {source.name} from {offline}")
            await in_thread(_copy, Path(offline) / source.name, source, partial)
        try:
            yield partial.content
        finally:
            partial.drop()


# --- the file


@asynccontextmanager
async def _claimed(target: Path, source: Source) -> AsyncGenerator[Partial, None]:
    try:
        partial = await in_thread(Partial.claim, target, source.sha256)
        try:
            yield partial
        except OSError:
            partial.drop()  # on a full disk what has come so far is in the way
            raise
        finally:
            partial.close()
    except OSError as error:
        raise explained(error, target) from error


def _copy(path: Path, source: Source, partial: Partial) -> None:
    partial.begin("")
    try:
        with open_regular(path) as file:
            while block := file.read(_BLOCK):
                if partial.size + len(block) > source.max_bytes:
                    partial.begin("")
                    raise _too_large(str(path), source)
                partial.append(block)
    except FileNotFoundError:
        raise NotReadyError(
            f"There is no {source.name} in {path.parent}", remedy=f"Bring it there from {shown(source.url)}"
        ) from None
    except OSError as error:
        if error.filename != str(path):  # of the partial download, whose caller explains it
            raise
        raise NotReadyError(
            f"{path} can't be read: {error.strerror}", remedy=f"Bring the file there from {shown(source.url)}"
        ) from None
    if (seen := partial.digest()) != source.sha256:
        partial.begin("")
        raise _wrong_digest(str(path), source, seen)


# --- attempts


async def _download(
    source: Source, partial: Partial, progress: Progress, trust: ssl.SSLContext | None, patience: Patience
) -> None:
    if partial.size and await in_thread(partial.digest) == source.sha256:
        return  # complete since the attempt before, which did not get to say so
    async with _client(trust or await in_thread(_believed), patience) as client:
        for attempt in range(1, patience.attempts + 1):
            try:
                await _attempt(client, source, partial, progress, patience)
            except _PassingError as passing:
                if attempt == patience.attempts:
                    raise passing.error from passing.__cause__
                pause = patience.pause_s * 2 ** (attempt - 1)
                progress(f"{passing.error.message}; trying again in {pause:g} s")
                await asyncio.sleep(pause)
            else:
                return


async def _attempt(
    client: httpx.AsyncClient, source: Source, partial: Partial, progress: Progress, patience: Patience
) -> None:
    """Complete ``partial``, or raise. A wrong digest is final unless an earlier attempt brought a part of it."""
    try:
        resumed = await _receive(client, source, partial, progress, patience)
    except httpx.TimeoutException as error:
        raise _PassingError(_silent_server(source, error, patience)) from error
    except httpx.TooManyRedirects as error:
        raise NotReadyError(
            f"{shown(source.url)} redirects more than {MAX_REDIRECTS} times", remedy=_REMEDIES[404]
        ) from error
    except httpx.TransportError as error:
        raise _broken(source, error) from error
    seen = await in_thread(partial.digest)
    if seen == source.sha256:
        return
    partial.begin("")
    error = _wrong_digest(shown(source.url), source, seen)
    raise _PassingError(error) if resumed else error


async def _receive(
    client: httpx.AsyncClient, source: Source, partial: Partial, progress: Progress, patience: Patience
) -> bool:
    """Ask for what is missing and take it. True where it was added to what an earlier attempt had brought."""
    headers = {"Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        if partial.validator:
            headers["If-Range"] = partial.validator
    request = client.build_request("GET", source.url, headers=headers)
    try:
        async with asyncio.timeout(patience.answer_s):
            response = await client.send(request, stream=True)
    except TimeoutError as error:
        raise httpx.ReadTimeout("no whole answer", request=request) from error
    try:
        total = _judge(response, source, partial)
        resumed = partial.size > 0
        await _take(response, source, partial, Ticker(progress, source.name, partial.size, total), patience)
    finally:
        await response.aclose()
    return resumed


def _judge(response: httpx.Response, source: Source, partial: Partial) -> int | None:
    """The size that the whole file will have, where the server says; ``partial`` is emptied unless this continues it.

    Raises NotReadyError for a refusal or too much, _PassingError for what may pass.
    """
    status = response.status_code
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if status == _NO_SUCH_PART or (status == _PART and (match is None or int(match[1]) != partial.size)):
        partial.begin("")
        raise _PassingError(
            NotReadyError(f"{shown(source.url)} can't be continued where it broke off", remedy=_WITHOUT_NETWORK)
        )
    if status not in (_OK, _PART):
        raise _refused(source, status)
    if status == _OK:
        tag = response.headers.get("ETag", "")
        partial.begin("" if tag.startswith("W/") else tag)  # a weak one does not stand for the same bytes
    length = response.headers.get("Content-Length", "")
    total = partial.size + int(length) if length.isdecimal() else None
    if total is not None and total > source.max_bytes:
        partial.begin("")
        raise _too_large(shown(source.url), source)
    return total


async def _take(response: httpx.Response, source: Source, partial: Partial, ticker: Ticker, patience: Patience) -> None:
    """Read the body, bounded in size and in slowness. What has arrived is in ``partial`` whatever ends this."""
    waiting = bytearray()
    room = source.max_bytes - partial.size
    window_bytes, window_start = 0, time.monotonic()
    try:
        async for chunk in response.aiter_raw():
            room -= len(chunk)
            if room < 0:
                waiting.clear()
                partial.begin("")
                raise _too_large(shown(source.url), source)
            waiting += chunk
            window_bytes += len(chunk)
            ticker.arrived(len(chunk))
            elapsed = time.monotonic() - window_start
            if elapsed >= patience.floor_over_s:
                if window_bytes < patience.floor_bytes_s * elapsed:
                    raise _too_slow(source, window_bytes / elapsed)
                window_bytes, window_start = 0, time.monotonic()
            if len(waiting) >= _BLOCK:
                block = bytes(waiting)
                waiting.clear()
                await in_thread(partial.append, block)
    finally:
        await in_thread(partial.append, bytes(waiting))


# --- the connection


def _client(trust: ssl.SSLContext, patience: Patience) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=trust,
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        event_hooks={"request": [_only_https]},
        timeout=httpx.Timeout(patience.stall_s, connect=patience.connect_s),
        headers={"User-Agent": "vmdeck"},
    )


def _believed() -> ssl.SSLContext:
    """The authorities of the host, for a mirror of one's own, and those that httpx brings, for a host that has none."""
    trust = httpx.create_ssl_context()
    trust.load_default_certs()
    return trust


async def _only_https(request: httpx.Request) -> None:
    """Called for every request, those that follow a redirect included."""
    try:
        refuse_plain(str(request.url))
    except InputError:
        raise NotReadyError(
            f"The server redirects to {shown(str(request.url))}, which is not https, and that is not followed",
            remedy="Name another server with --mirror, or bring the file and name its folder with --offline",
        ) from None


# --- what went wrong


def _refused(source: Source, status: int) -> VmdeckError | _PassingError:
    remedy = _REMEDIES.get(status, _WITHOUT_NETWORK)
    error = NotReadyError(f"{shown(source.url)} was refused with status {status}", remedy=remedy, status=status)
    return _PassingError(error) if status in _PASSING or status >= _SERVER_ERRORS else error


def _broken(source: Source, error: httpx.TransportError) -> NotReadyError | _PassingError:
    where = shown(source.url)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NotReadyError(
                f"The server of {where} does not prove who it is: {cause.verify_message}",
                remedy="See that the host's clock is right; for a mirror of your own, add its authority to the host's",
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        what = f"No connection to the server of {where}: {error}"
    else:
        what = f"The connection broke while {where} was downloaded: {error or type(error).__name__}"
    return _PassingError(NotReadyError(what, remedy=_WITHOUT_NETWORK))


def _silent_server(source: Source, error: httpx.TimeoutException, patience: Patience) -> NotReadyError:
    if isinstance(error, httpx.ConnectTimeout):
        what = f"No connection to the server of {shown(source.url)} within {patience.connect_s:g} s"
    else:
        what = f"The server of {shown(source.url)} fell silent: nothing came for {patience.stall_s:g} s"
    return NotReadyError(what, remedy=_WITHOUT_NETWORK)


def _too_slow(source: Source, bytes_s: float) -> NotReadyError:
    return NotReadyError(
        f"{shown(source.url)} comes too slowly: {bytes_s:.0f} bytes per second",
        remedy="Try again, which goes on where this stopped; or bring the file and name its folder with --offline",
    )


def _too_large(where: str, source: Source) -> NotReadyError:
    return NotReadyError(
        f"{where} is larger than the {source.max_bytes / 1e6:.1f} MB that {source.name} may have, and was not taken",
        remedy="See that it is the right file; a mirror or proxy may have put another in its place",
    )


def _wrong_digest(where: str, source: Source, seen: str) -> NotReadyError:
    return NotReadyError(
        f"{where} is not the file that was expected: its SHA-256 is {seen}, and not {source.sha256}",
        remedy="Try again; if it stays so, the server, a mirror or a proxy has another file in its place: don't use it",
    )
