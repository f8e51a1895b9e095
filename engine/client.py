"""RemoteEngine: the calls of EngineApi sent to a running engine, over its unix socket or a URL."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, TypeVar, cast
from urllib.parse import quote, urlencode

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import TypeAdapter, ValidationError

from engine import problem
from engine.caller import CALLER_HEADER
from engine.errors import InputError, InternalError, NotFoundError, NotReadyError, OutcomeUnknownError
from engine.models import (
    BatchResult,
    BuildImageRequest,
    BuildLanguageRequest,
    Caller,
    CreateSnapshotRequest,
    DockerImageRequest,
    EngineIdentity,
    Health,
    HostMetrics,
    HostSample,
    Image,
    Job,
    JobEvent,
    Language,
    Leftover,
    PruneRequest,
    RemoteImage,
    RemotePlace,
    RemoteSnapshot,
    RunEntry,
    RunEvent,
    RunQuery,
    RunRequest,
    RunResult,
    RunStats,
    SerialText,
    ServiceAction,
    ServiceState,
    SetSetting,
    Setting,
    SetupOptions,
    SetupStep,
    SetupTrace,
    Snapshot,
    Verification,
    Vm,
    VmDetail,
)

T = TypeVar("T")

CONNECT_S = 5.0
LOOK_S = 30.0  # a GET only looks: health with all checks takes up to 3 s. What does work has no limit of ours
_LOOKING = httpx.Timeout(LOOK_S, connect=CONNECT_S)
_SAME_VERSION = "Use the same version on both ends"
_WORKING = httpx.Timeout(None, connect=CONNECT_S)
# Idle connections go well before the server drops them, so that no request meets one that is closing.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=2)


class RemoteEngine:
    """An EngineApi over HTTP. Use as an async context manager.

    ``where`` is the path of an engine's unix socket or an http(s) URL; a URL that is not loopback needs ``token``.
    Every call raises what the engine raised there, NotReadyError when it can't be reached, and OutcomeUnknownError
    when the connection was lost after something had been asked for. ``caller`` is what history notes of its runs; the
    engine believes it on the unix socket only. With ``brief_results``, results of streams come without the output that
    their events have brought, which may be 64 MiB once more.
    """

    def __init__(
        self, where: str | Path, token: str = "", *, caller: Caller = "http", brief_results: bool = False
    ) -> None:
        self.where = str(where)
        self._stream_path = "/api/v1/execute?brief=true" if brief_results else "/api/v1/execute"
        self._has_token = bool(token)
        url, transport = self.where, None
        if not self.where.startswith(("http://", "https://")):
            url, transport = "http://localhost", httpx.AsyncHTTPTransport(uds=self.where, limits=_LIMITS)
        headers = {CALLER_HEADER: caller, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._http = httpx.AsyncClient(
            base_url=url, transport=transport, headers=headers, limits=_LIMITS, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    # --- runs

    async def run(self, request: RunRequest) -> RunResult | BatchResult:
        answer = BatchResult if isinstance(request.stdin, tuple) else RunResult
        return await self._call("POST", "/api/v1/execute", answer, body=request.model_dump_json())

    async def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        async with aclosing(self._events("POST", self._stream_path, body=request.model_dump_json())) as events:
            async for sent in events:
                yield _parsed(RunEvent, sent.data)

    async def runs(self, query: RunQuery | None = None) -> Sequence[RunEntry]:
        asked = (query or RunQuery()).model_dump(mode="json", exclude_none=True)
        return await self._call("GET", f"/api/v1/runs?{urlencode(asked)}", tuple[RunEntry, ...])

    async def run_stats(self, *, window_s: float = 3600) -> RunStats:
        return await self._call("GET", f"/api/v1/runs/stats?window_s={window_s}", RunStats)

    async def run_request(self, trace_id: str) -> RunRequest:
        return await self._call("GET", _path("/api/v1/runs", trace_id, "request"), RunRequest)

    # --- inventory

    async def languages(self) -> Sequence[Language]:
        return await self._call("GET", "/api/v1/languages", tuple[Language, ...])

    async def images(self) -> Sequence[Image]:
        return await self._call("GET", "/api/v1/rootfs", tuple[Image, ...])

    async def build_image(self, request: BuildImageRequest) -> Job:
        return await self._call("POST", "/api/v1/rootfs", Job, body=request.model_dump_json())

    async def build_language(self, request: BuildLanguageRequest) -> Job:
        body = request.model_dump_json(exclude={"language"})
        return await self._call("POST", _path("/api/v1/rootfs", request.language, "build"), Job, body=body)

    async def leftovers(self, request: PruneRequest) -> Sequence[Leftover]:
        asked = urlencode(request.model_dump(mode="json"))
        return await self._call("GET", f"/api/v1/rootfs/prune?{asked}", tuple[Leftover, ...])

    async def prune(self, request: PruneRequest) -> Sequence[Leftover]:
        body = request.model_dump_json()
        return await self._call("POST", "/api/v1/rootfs/prune", tuple[Leftover, ...], body=body)

    async def build_docker_image(self, request: DockerImageRequest) -> Job:
        return await self._call("POST", "/api/v1/rootfs/from-docker", Job, body=request.model_dump_json())

    async def remove_image(self, name: str) -> None:
        await self._send("DELETE", _path("/api/v1/rootfs", name))

    async def snapshots(self) -> Sequence[Snapshot]:
        return await self._call("GET", "/api/v1/snapshots", tuple[Snapshot, ...])

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job:
        return await self._call("POST", "/api/v1/snapshots", Job, body=request.model_dump_json())

    async def verify_snapshot(self, name: str) -> Verification:
        return await self._call("POST", _path("/api/v1/snapshots", name, "verify"), Verification)

    async def refresh_snapshot(self, name: str) -> Job:
        return await self._call("POST", _path("/api/v1/snapshots", name, "refresh"), Job)

    async def remove_snapshot(self, name: str) -> None:
        await self._send("DELETE", _path("/api/v1/snapshots", name))

    async def remote_images(self, place: RemotePlace | None = None) -> Sequence[RemoteImage]:
        return await self._call("GET", _remote("/api/v1/rootfs", place), tuple[RemoteImage, ...], asks_others=True)

    async def upload_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        return await self._call("POST", _path("/api/v1/rootfs", lang, "upload"), Job, body=_place(place))

    async def download_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        return await self._call("POST", _path("/api/v1/rootfs", lang, "download"), Job, body=_place(place))

    async def remote_snapshots(self, place: RemotePlace | None = None) -> Sequence[RemoteSnapshot]:
        return await self._call(
            "GET", _remote("/api/v1/snapshots", place), tuple[RemoteSnapshot, ...], asks_others=True
        )

    async def upload_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        return await self._call("POST", _path("/api/v1/snapshots", name, "upload"), Job, body=_place(place))

    async def download_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        return await self._call("POST", _path("/api/v1/snapshots", name, "download"), Job, body=_place(place))

    async def vms(self) -> Sequence[Vm]:
        return await self._call("GET", "/api/v1/vms", tuple[Vm, ...])

    async def vm(self, vm_id: str) -> VmDetail:
        return await self._call("GET", _path("/api/v1/vms", vm_id), VmDetail)

    async def vm_serial(self, vm_id: str, *, after: int = 0) -> AsyncGenerator[SerialText]:
        path = f"{_path('/api/v1/vms', vm_id, 'serial')}?after={after}"
        async with aclosing(self._events("GET", path)) as events:
            async for sent in events:
                yield _parsed(SerialText, sent.data)

    async def kill_vm(self, vm_id: str) -> None:
        await self._send("DELETE", _path("/api/v1/vms", vm_id))

    # --- host

    async def health(self, *, full: bool = False) -> Health:
        return await self._call("GET", "/health?full=1" if full else "/health", Health)

    async def metrics(self) -> HostMetrics:
        return await self._call("GET", "/api/v1/metrics", HostMetrics)

    async def samples(self, *, last: int = 240) -> Sequence[HostSample]:
        return await self._call("GET", f"/api/v1/samples?last={last}", tuple[HostSample, ...])

    async def attach(self) -> AsyncGenerator[EngineIdentity]:
        try:
            async with aclosing(self._events("GET", "/api/v1/engine")) as events:
                async for sent in events:
                    yield _parsed(EngineIdentity, sent.data)
        except NotFoundError:
            raise InternalError(
                f"The engine at {self.where} is of another version: nobody can attach to it", remedy=_SAME_VERSION
            ) from None

    async def settings(self) -> Sequence[Setting]:
        return await self._call("GET", "/api/v1/settings", tuple[Setting, ...])

    async def set_setting(self, name: str, value: str | None) -> Setting:
        body = SetSetting(value=value).model_dump_json()
        return await self._call("PUT", _path("/api/v1/settings", name), Setting, body=body)

    async def api_token(self) -> str:
        return await self._call("POST", "/api/v1/settings/api_token/reveal", str)

    async def service(self) -> ServiceState:
        return await self._call("GET", "/api/v1/service", ServiceState)

    async def control_service(self, action: ServiceAction) -> ServiceState:
        return await self._call("POST", _path("/api/v1/service", action), ServiceState)

    async def setup_steps(self, options: SetupOptions | None = None) -> Sequence[SetupStep]:
        if options is None:
            return await self._call("GET", "/api/v1/setup", tuple[SetupStep, ...])
        return await self._call("POST", "/api/v1/setup/plan", tuple[SetupStep, ...], body=options.model_dump_json())

    async def apply_setup(self, steps: Sequence[str] | None = None, options: SetupOptions | None = None) -> Job:
        given = (options or SetupOptions()).model_dump(mode="json")
        body = json.dumps({"steps": None if steps is None else list(steps), "options": given})
        return await self._call("POST", "/api/v1/setup", Job, body=body)

    async def setup_record(self) -> Sequence[SetupTrace]:
        return await self._call("GET", "/api/v1/setup/record", tuple[SetupTrace, ...])

    async def undo_setup(self) -> Job:
        return await self._call("POST", "/api/v1/setup/undo", Job)

    # --- jobs

    async def jobs(self) -> Sequence[Job]:
        return await self._call("GET", "/api/v1/jobs", tuple[Job, ...])

    async def job_events(self, job_id: str, *, after: int = 0) -> AsyncGenerator[JobEvent]:
        path = f"{_path('/api/v1/jobs', job_id, 'events')}?after={after}"
        async with aclosing(self._events("GET", path)) as events:
            async for sent in events:
                yield _parsed(JobEvent, sent.data)

    async def cancel_job(self, job_id: str) -> Job:
        return await self._call("POST", _path("/api/v1/jobs", job_id, "cancel"), Job)

    async def retry_job(self, job_id: str) -> Job:
        return await self._call("POST", _path("/api/v1/jobs", job_id, "retry"), Job)

    # --- the wire

    async def _call(
        self, method: str, path: str, answer: type[T], *, body: str | None = None, asks_others: bool = False
    ) -> T:
        return _parsed(answer, await self._send(method, path, body=body, asks_others=asks_others))

    async def _send(self, method: str, path: str, *, body: str | None = None, asks_others: bool = False) -> bytes:
        """A GET that ``asks_others``, as object storage, takes as long as they do."""
        timeout = _LOOKING if method == "GET" and not asks_others else _WORKING
        with self._losses(asking=method != "GET"):
            response = await self._http.request(method, path, content=body, headers=_headers(body), timeout=timeout)
        if response.is_error:
            self._raise(response)
        return response.content

    async def _events(self, method: str, path: str, *, body: str | None = None) -> AsyncGenerator[ServerSentEvent]:
        async with AsyncExitStack() as stack:
            with self._losses(asking=method != "GET"):
                source = await stack.enter_async_context(self._event_source(method, path, body))
                events = source.aiter_sse()
                stack.push_async_callback(events.aclose)
                async for sent in events:
                    if sent.event == "error":
                        raise problem.to_error(_document(sent.data))
                    if sent.data:  # a comment that keeps the connection alive comes as an event without any
                        yield sent

    @asynccontextmanager
    async def _event_source(self, method: str, path: str, body: str | None) -> AsyncGenerator[EventSource]:
        headers = {**_headers(body), "Accept": "text/event-stream"}
        async with self._http.stream(method, path, content=body, headers=headers, timeout=_WORKING) as response:
            if response.is_error:
                await response.aread()
                self._raise(response)
            yield EventSource(response)

    @contextmanager
    def _losses(self, *, asking: bool) -> Generator[None]:
        """Turn what httpx raises into errors of ours; ``asking`` for something, not only looking."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            remedy = "Start it with `vmdeck serve` or `vmdeck api`"
            if self.where.startswith("http"):
                remedy = (
                    "See that `vmdeck api` runs there, that the address is right, and that nothing between blocks it"
                )
            raise NotReadyError(
                f"No engine answers at {self.where}: {error or 'no connection'}", remedy=remedy
            ) from None
        except httpx.TransportError as error:
            reason = f"{type(error).__name__} {error}".strip()
            if asking:
                message = f"The connection to the engine was lost before it answered: {reason}"
                raise OutcomeUnknownError(message, remedy="Look at its VMs and jobs before asking again") from None
            raise NotReadyError(f"The engine at {self.where} gave no answer: {reason}", remedy="Try again") from None

    def _raise(self, response: httpx.Response) -> NoReturn:
        if response.status_code == 401:
            refusal = "does not take this token" if self._has_token else "wants a token"
            raise InputError(
                f"The engine at {self.where} {refusal}", remedy="Give the one it has: VMDECK_API_TOKEN or --token-file"
            )
        if response.headers.get("content-type", "").startswith(problem.MEDIA_TYPE):
            raise problem.to_error(_document(response.content))
        raise InternalError(
            f"{self.where} answered {response.status_code} and is no engine of ours", remedy="Check the address"
        )


def _path(*parts: str) -> str:
    return "/".join((parts[0], *(quote(part, safe="") for part in parts[1:])))


def _remote(path: str, place: RemotePlace | None) -> str:
    asked = {} if place is None else place.model_dump(exclude_none=True)
    return f"{path}?{urlencode({'remote': 'true', **asked})}"


def _place(place: RemotePlace | None) -> str:
    return (place or RemotePlace()).model_dump_json(exclude_none=True)


def _headers(body: str | None) -> dict[str, str]:
    return {} if body is None else {"Content-Type": "application/json"}


def _document(text: str | bytes) -> Mapping[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


@cache
def _reader(answer: type[T]) -> TypeAdapter[T]:
    """Kept, since making one takes longer than reading most answers does."""
    return TypeAdapter(answer)


def _parsed(answer: type[T], text: str | bytes) -> T:
    try:
        return _reader(answer).validate_json(text)
    except ValidationError as error:
        fault = f"The engine's answer is not one of this version: {error.error_count()} fields do not fit"
        raise InternalError(fault, remedy=_SAME_VERSION) from error
