"""An EngineApi in memory, for tests of what stands above the engine. The same call gives the same answer each time.

Its languages: ``echo`` streams the lines of code, then arguments, then stdin; environment variables steer it: STDERR
is written to stderr, EXIT is the exit code, STATUS the status. ``hang`` writes one line and never ends. ``lost`` writes
one line and raises ``lost_with``.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from engine.errors import ConflictError, NotFoundError, OutcomeUnknownError, VmdeckError
from engine.models import (
    BatchResult,
    BootStage,
    BuildImageRequest,
    BuildLanguageRequest,
    Check,
    CreateSnapshotRequest,
    DockerImageRequest,
    EngineIdentity,
    Figure,
    Health,
    HostMetrics,
    HostSample,
    Image,
    Job,
    JobEvent,
    JobState,
    Language,
    Leftover,
    Percentiles,
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
    RunStatus,
    SerialText,
    ServiceAction,
    ServiceState,
    Setting,
    SetupOptions,
    SetupStep,
    SetupTrace,
    Severity,
    Snapshot,
    Timings,
    Usage,
    Verification,
    Vm,
    VmDetail,
    VmmChoice,
    VmPoint,
    VmRef,
    VmState,
)

V = TypeVar("V")

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SLOW = "slow"  # an image, snapshot or setup step of this name takes until its job is cancelled
BROKEN = "broken"  # ... of this name fails
PAST = (
    RunEntry(id=2, trace_id="past-2", at=NOON, language="echo", outcome="busy", error="too many", caller="http"),
    RunEntry(id=1, trace_id="past-1", at=NOON, language="echo", outcome="success", exit_code=0, caller="cli"),
)
_LEFTOVERS = (
    Leftover(kind="image", name="python@0123456789ab", why="nothing uses it", disk_bytes=3 << 20),
    Leftover(kind="cache", name="cache/apt", why="Debian packages", disk_bytes=5 << 30),
)
IDENTITY = EngineIdentity(id="e-1", version="0", pid=1, host="here", data_dir="/data", serves="daemon")
EXIT_OF_STATUS: dict[str, int] = {"timeout": 124, "memory_limit": 137, "output_limit": 137, "killed": 137, "failed": 1}


class FakeEngine:
    """``raises`` is raised by every call. ``entered`` counts runs begun; ``live`` those whose iterator is open."""

    def __init__(self) -> None:
        self.raises: VmdeckError | None = None
        self.lost_with: VmdeckError = OutcomeUnknownError("the guest is gone", remedy="run it again")
        self.entered = 0
        self.live = 0
        self.requests: list[RunRequest] = []
        self.queries: list[RunQuery | None] = []
        self.builds: list[BuildLanguageRequest] = []
        self.pruned: list[PruneRequest] = []
        self.places: list[RemotePlace | None] = []
        self.images_by_name = {"python-bookworm": _image("python-bookworm")}
        self.snapshots_by_name = {"python-256": _snapshot("python-256", "python")}
        self.vms_by_id = {"vm-1": _vm("vm-1")}
        self.steps = (
            SetupStep(id="qemu", title="QEMU", why="runs the VMs", done=True, seen="7.2"),
            SetupStep(id="image", title="Python image", why="a language", done=False, seen="none", would=("build it",)),
        )
        self.setup_options: list[SetupOptions | None] = []
        self.traces: tuple[SetupTrace, ...] = (
            SetupTrace(step="folders", kind="folder", what="/data", at=NOON),
            SetupTrace(step="packages", kind="package", what="qemu-system-x86", at=NOON),
        )
        self.severity = Severity.OK
        self.settings_by_name = {
            "vmm": Setting(
                name="vmm", value="auto", default="auto", origin="default", about="the VMM", choices=("auto", "qemu")
            ),
            "api_token": Setting(
                name="api_token",
                value="",
                default="",
                origin="environment",
                source="VMDECK_API_TOKEN",
                about="a token",
                secret=True,
                editable=False,
                why_not="the variable goes before the file",
            ),
        }
        self.service_state = ServiceState(
            systemd=True,
            installed=True,
            active=True,
            seen="it runs",
            actions=("stop", "restart"),
            addresses=("unix:/e",),
        )
        self._changed = asyncio.Condition()
        self._jobs: dict[str, list[JobEvent]] = {}

    # --- for tests

    async def until_live(self, count: int) -> None:
        """Wait until so many runs are open."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.live == count)

    # --- settings and service

    async def settings(self) -> Sequence[Setting]:
        self._check()
        return tuple(self.settings_by_name.values())

    async def set_setting(self, name: str, value: str | None) -> Setting:
        self._check()
        known = _known(self.settings_by_name, name, "setting")
        self.settings_by_name[name] = known.model_copy(update={"pending": known.default if value is None else value})
        return self.settings_by_name[name]

    async def api_token(self) -> str:
        self._check()
        return "s3cret"

    async def service(self) -> ServiceState:
        self._check()
        return self.service_state

    async def control_service(self, action: ServiceAction) -> ServiceState:
        self._check()
        self.service_state = self.service_state.model_copy(update={"active": action != "stop"})
        return self.service_state

    # --- runs

    async def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        self._check()
        if request.language not in ("echo", "hang", "lost"):
            raise NotFoundError(f"Unknown language {request.language[:64]!r}", remedy="Known languages: echo")
        self.entered += 1
        self.requests.append(request)
        await self._count(1)
        try:
            for item, stdin in enumerate(request.stdin if isinstance(request.stdin, tuple) else (request.stdin,)):
                async for event in self._one(request, item, stdin or ""):
                    yield event
        finally:
            await self._count(-1)

    async def run(self, request: RunRequest) -> RunResult | BatchResult:
        results = [event.result async for event in self.stream(request) if event.result is not None]
        return BatchResult(results=tuple(results)) if isinstance(request.stdin, tuple) else results[0]

    async def _one(self, request: RunRequest, item: int, stdin: str) -> AsyncGenerator[RunEvent]:
        trace_id = f"{zlib.crc32(RunRequest.model_dump_json(request).encode()):08x}"
        clock = iter(range(1, 1_000_000))

        def event(kind: str, **fields: object) -> RunEvent:
            return RunEvent.model_validate(
                {"kind": kind, "trace_id": trace_id, "at_ms": next(clock), "item": item, **fields}
            )

        yield event("stage", text="restoring")
        yield event("stage", text="running", vm_id=f"vm-{item}")
        if request.language != "echo":
            yield event("stdout", text="started\n")
            if request.language == "lost":
                raise self.lost_with
            await asyncio.Event().wait()
        out = [request.code, *(f"{arg}\n" for arg in request.args), stdin]
        for line in (piece for text in out for piece in text.splitlines(keepends=True)):
            yield event("stdout", text=line)
            await asyncio.sleep(0)
        if stderr := request.env.get("STDERR"):
            yield event("stderr", text=stderr)
        exit_code = int(request.env.get("EXIT", "0"))
        status: RunStatus = request.env.get("STATUS", "failed" if exit_code else "success")  # type: ignore[assignment]
        result = RunResult(
            trace_id=trace_id,
            status=status,
            stdout="".join(out),
            stderr=stderr or None,
            exit_code=EXIT_OF_STATUS.get(status, 0) if status != "failed" else exit_code or 1,
            exec_time="10ms",
            exec_time_ms=10.0,
            timings=Timings(queue=0, restore=2, resync=1, exec=10, total=13, first_output=4),
            boot="snapshot",
            usage=Usage(cpu_ms=9, peak_memory_bytes=1 << 20),
            vm=VmRef(id=f"vm-{item}", vmm="fake"),
        )
        yield event("result", result=result)

    async def runs(self, query: RunQuery | None = None) -> Sequence[RunEntry]:
        self._check()
        self.queries.append(query)
        return PAST

    async def run_stats(self, *, window_s: float = 3600) -> RunStats:
        self._check()
        figures = Percentiles(count=1, p50=13, p90=13, p95=13, p99=13)
        return RunStats(
            window_s=window_s, runs=2, failed=1, per_minute=0.5, total=figures, restore=Percentiles(count=0)
        )

    async def run_request(self, trace_id: str) -> RunRequest:
        self._check()
        return _known({PAST[0].trace_id: RunRequest(language="echo", code="a\n")}, trace_id, "run")

    # --- inventory

    async def languages(self) -> Sequence[Language]:
        self._check()
        return (
            Language(id="echo", title="Echo", file_name="main.txt", example="hello\n", ready=True, warm=True),
            Language(id="hang", title="Hang", file_name="main.txt", ready=True),
        )

    async def images(self) -> Sequence[Image]:
        self._check()
        return tuple(self.images_by_name.values())

    async def build_image(self, request: BuildImageRequest) -> Job:
        self._check()
        return self._start("image", request.name)

    async def build_language(self, request: BuildLanguageRequest) -> Job:
        self._check()
        self.builds.append(request)
        return self._start("image", request.name or request.language)

    async def leftovers(self, request: PruneRequest) -> Sequence[Leftover]:
        self._check()
        return _LEFTOVERS if request.cache == "clear" else _LEFTOVERS[:1]

    async def prune(self, request: PruneRequest) -> Sequence[Leftover]:
        self._check()
        self.pruned.append(request)
        return await self.leftovers(request)

    async def build_docker_image(self, request: DockerImageRequest) -> Job:
        self._check()
        return self._start("image", request.name)

    async def remove_image(self, name: str) -> None:
        self._check()
        _remove(self.images_by_name, name, "image")

    async def snapshots(self) -> Sequence[Snapshot]:
        self._check()
        return tuple(self.snapshots_by_name.values())

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job:
        self._check()
        return self._start("snapshot", request.name or request.language)

    async def verify_snapshot(self, name: str) -> Verification:
        self._check()
        _known(self.snapshots_by_name, name, "snapshot")
        return Verification(
            name=name, ok=name != BROKEN, findings=() if name != BROKEN else ("memory: digest differs",)
        )

    async def refresh_snapshot(self, name: str) -> Job:
        self._check()
        _known(self.snapshots_by_name, name, "snapshot")
        return self._start("snapshot", name)

    async def remove_snapshot(self, name: str) -> None:
        self._check()
        _remove(self.snapshots_by_name, name, "snapshot")

    async def remote_images(self, place: RemotePlace | None = None) -> Sequence[RemoteImage]:
        self._check()
        self.places.append(place)
        return (RemoteImage(name="python-bookworm", languages=("echo",), digest="0", size_bytes=1 << 20, created=NOON),)

    async def upload_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        self._check()
        self.places.append(place)
        return self._start("upload", lang)

    async def download_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        self._check()
        self.places.append(place)
        return self._start("download", lang)

    async def remote_snapshots(self, place: RemotePlace | None = None) -> Sequence[RemoteSnapshot]:
        self._check()
        self.places.append(place)
        return (RemoteSnapshot(name="python-256", language="python", problem="it was made with another CPU"),)

    async def upload_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        self._check()
        self.places.append(place)
        return self._start("upload", name)

    async def download_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        self._check()
        self.places.append(place)
        return self._start("download", name)

    async def vms(self) -> Sequence[Vm]:
        self._check()
        return tuple(self.vms_by_id.values())

    async def vm(self, vm_id: str) -> VmDetail:
        self._check()
        return VmDetail(
            vm=_known(self.vms_by_id, vm_id, "VM"),
            series=(VmPoint(at=NOON, cpu_percent=10.0, memory_private_bytes=None),),
            stages=(BootStage(name="load", ms=14.5),),
            limits=(Figure(name="memory", value="448 MiB", used="100 MiB"),),
            missing=("guest: it is mute",),
        )

    async def vm_serial(self, vm_id: str, *, after: int = 0) -> AsyncGenerator[SerialText]:
        self._check()
        _known(self.vms_by_id, vm_id, "VM")
        text = "boot\n\x1b[2Jevil €\n"
        yield SerialText(offset=len(text), text=text[after:], lost=3)
        yield SerialText(offset=len(text), text="", ended="the VM has ended")

    async def kill_vm(self, vm_id: str) -> None:
        self._check()
        _remove(self.vms_by_id, vm_id, "VM")

    # --- host

    async def attach(self) -> AsyncGenerator[EngineIdentity]:
        """Twice, then it is gone."""
        self._check()
        for _ in range(2):
            yield IDENTITY

    async def health(self, *, full: bool = False) -> Health:
        self._check()
        check = Check(id="kvm.runs", title="KVM", severity=self.severity, seen="as set", why="speed", remedy="set it")
        return Health(
            status="ok",
            version="0",
            uptime_s=1.0,
            vmm=VmmChoice(vmm="fake", accelerator="none", version="1", reason="a test"),
            running=self.live,
            queued=0,
            capacity=2,
            checks=(check,) if full else None,
        )

    async def metrics(self) -> HostMetrics:
        self._check()
        return HostMetrics(
            at=NOON,
            cpu_percent=12.5,
            load_1m=0.5,
            cores=2,
            memory_total_bytes=4 << 30,
            memory_used_bytes=1 << 30,
            disk_total_bytes=8 << 30,
            disk_used_bytes=2 << 30,
            net_rx_bytes_s=0,
            net_tx_bytes_s=0,
        )

    async def samples(self, *, last: int = 240) -> Sequence[HostSample]:
        metrics = await self.metrics()
        return tuple(HostSample(metrics=metrics, running=n, queued=0) for n in range(min(last, 3)))

    async def setup_steps(self, options: SetupOptions | None = None) -> Sequence[SetupStep]:
        self._check()
        self.setup_options.append(options)
        return self.steps

    async def apply_setup(self, steps: Sequence[str] | None = None, options: SetupOptions | None = None) -> Job:
        self._check()
        self.setup_options.append(options)
        return self._start(
            "setup", ",".join(step.id for step in self.steps if not step.done) if steps is None else steps[0]
        )

    async def setup_record(self) -> Sequence[SetupTrace]:
        self._check()
        return self.traces

    async def undo_setup(self) -> Job:
        self._check()
        self.traces = ()
        return self._start("undo", "setup")

    # --- jobs

    async def jobs(self) -> Sequence[Job]:
        self._check()
        return tuple(events[-1].job for events in self._jobs.values())

    async def job_events(self, job_id: str, *, after: int = 0) -> AsyncGenerator[JobEvent]:
        self._check()
        events = _known(self._jobs, job_id, "job")
        while True:
            for event in events[after:]:
                yield event
                after = event.seq
            if events[-1].job.state != JobState.RUNNING:
                return
            async with self._changed:
                await self._changed.wait_for(lambda seen=after: len(events) > seen)

    async def cancel_job(self, job_id: str) -> Job:
        self._check()
        events = _known(self._jobs, job_id, "job")
        if events[-1].job.state == JobState.RUNNING:
            ended = events[-1].job.model_copy(update={"state": JobState.CANCELLED, "ended": NOON})
            events.append(JobEvent(job_id=job_id, seq=len(events) + 1, at=NOON, line="cancelled", job=ended))
            async with self._changed:
                self._changed.notify_all()
        return events[-1].job

    async def retry_job(self, job_id: str) -> Job:
        self._check()
        job = _known(self._jobs, job_id, "job")[-1].job
        if not job.retryable:
            raise ConflictError(f"{job.title} can't be repeated")
        kind, _, what = job.title.partition(" ")
        return self._start(kind, what, retry_of=job_id)

    def _start(self, kind: str, what: str, *, retry_of: str | None = None) -> Job:
        job_id = f"job-{len(self._jobs) + 1}"
        title = f"{kind} {what}"
        job = Job(
            id=job_id, kind=kind, title=title, state=JobState.RUNNING, started=NOON, step="begin", retry_of=retry_of
        )
        states = [("begin", job), ("half done", job.model_copy(update={"step": "middle", "fraction": 0.5}))]
        if what == BROKEN:
            update = {
                "state": JobState.FAILED,
                "ended": NOON,
                "error": "it broke",
                "remedy": "mend it",
                "retryable": True,
            }
            states.append(("broke", job.model_copy(update=update)))
        elif what != SLOW:
            update = {"state": JobState.DONE, "ended": NOON, "fraction": 1.0, "result": what}
            states.append(("done", job.model_copy(update=update)))
        self._jobs[job_id] = [
            JobEvent(job_id=job_id, seq=seq, at=NOON, line=line, job=state)
            for seq, (line, state) in enumerate(states, 1)
        ]
        return job

    def _check(self) -> None:
        if self.raises is not None:
            raise self.raises

    async def _count(self, by: int) -> None:
        self.live += by
        async with self._changed:
            self._changed.notify_all()


@contextmanager
def raising(engine: FakeEngine, error: VmdeckError) -> Iterator[None]:
    """Every call of ``engine`` raises ``error`` inside the block."""
    engine.raises = error
    try:
        yield
    finally:
        engine.raises = None


def _known(things: dict[str, V], name: str, what: str) -> V:
    if name not in things:
        raise NotFoundError(f"No {what} {name!r}", remedy="list them", name=name)
    return things[name]


def _remove(things: dict[str, V], name: str, what: str) -> None:
    _known(things, name, what)
    del things[name]


def _image(name: str) -> Image:
    return Image(
        name=name,
        languages=("echo",),
        digest="sha256:0",
        size_bytes=100 << 20,
        disk_bytes=80 << 20,
        created=NOON,
        source="debian",
        packages=("python3",),
        suite="bookworm",
        path=f"/images/{name}",
    )


def _snapshot(name: str, language: str) -> Snapshot:
    return Snapshot(
        name=name,
        language=language,
        image="python-bookworm",
        image_digest="sha256:0",
        vmm="fake",
        vmm_version="1",
        accelerator="none",
        memory_mib=256,
        vcpus=1,
        size_bytes=256 << 20,
        disk_bytes=80 << 20,
        created=NOON,
        warm="parked",
    )


def _vm(vm_id: str) -> Vm:
    return Vm(
        id=vm_id,
        vmm="fake",
        accelerator="none",
        pid=1,
        state=VmState.RUNNING,
        purpose="run",
        language="echo",
        memory_mib=256,
        vcpus=1,
        started=NOON,
        age_s=3.0,
        cpu_percent=10.0,
    )
