"""An engine in memory whose state a test sets: what the console sees is decided here, when it sees it, by the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from engine.errors import ForbiddenError, InternalError, NotFoundError, NotReadyError, VmdeckError
from engine.models import (
    BatchResult,
    BuildImageRequest,
    BuildLanguageRequest,
    Check,
    CreateSnapshotRequest,
    DockerImageRequest,
    EngineIdentity,
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
    SerialText,
    ServiceAction,
    ServiceState,
    Setting,
    SetupOptions,
    SetupStep,
    SetupTrace,
    Severity,
    Snapshot,
    Verification,
    Vm,
    VmDetail,
    VmmChoice,
    VmState,
)
from tests.console.past_samples import PAST, RERUN, run
from tests.console.samples import (
    CHECKS,
    IMAGES,
    JOBS,
    LANGUAGES,
    LOG_LINES,
    NOW,
    SNAPSHOTS,
    STEPS,
    result,
    vm,
)
from tests.console.settings_samples import SETTINGS
from tests.console.vms_samples import FAILED_RUNS, SERIAL, STATS, detail, host_samples

IDENTITY = EngineIdentity(
    id="e-1", version="0.1.0", pid=4711, host="bm-07", data_dir="/var/lib/vmdeck", serves="daemon"
)
VIEWER = IDENTITY.model_copy(update={"role": "viewer"})
NO_RUNS = RunStats(
    window_s=3600, runs=0, failed=0, per_minute=0, total=Percentiles(count=0), restore=Percentiles(count=0)
)
DAMAGED = Verification(name="any", ok=False, findings=("memory: digest differs from the manifest",))
NO_SERVICE = ServiceState(systemd=False, installed=False, seen="systemd does not run here")

Script = Callable[["FakeEngine", RunRequest], AsyncGenerator[RunEvent]]


async def hello(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
    """A short run: two streams, then success."""
    yield RunEvent(kind="queued", trace_id="r-7f3c", at_ms=0.1)
    yield RunEvent(kind="stage", trace_id="r-7f3c", at_ms=1.2, text="restoring", vm_id="vm-0a31")
    yield RunEvent(kind="stage", trace_id="r-7f3c", at_ms=414, text="running", vm_id="vm-0a31")
    yield RunEvent(kind="stdout", trace_id="r-7f3c", at_ms=438, text="Hello from Python 3.11.2 in a microVM\n")
    yield RunEvent(kind="stderr", trace_id="r-7f3c", at_ms=440, text="a warning on standard error\n")
    yield RunEvent(kind="stdout", trace_id="r-7f3c", at_ms=441, text="1 first line of stdin\n2 second")
    yield RunEvent(kind="result", trace_id="r-7f3c", at_ms=460, result=result(stdout="Hello"))


async def endless(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
    """Prints one line and then goes on until it is cancelled; notes that its VM was ended."""
    yield RunEvent(kind="stage", trace_id="r-1", at_ms=1, text="running", vm_id="vm-0a31")
    yield RunEvent(kind="stdout", trace_id="r-1", at_ms=2, text="tick 0\n")
    try:
        await asyncio.Event().wait()
    finally:
        engine.ended_runs += 1


async def flood(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
    """260 MB of lines, as fast as they are taken."""
    block = "".join(f"{number:06} {'x' * 92}\n" for number in range(650))
    for part in range(4000):
        yield RunEvent.model_construct(kind="stdout", trace_id="r-1", at_ms=part, text=block, phase="run", item=0)
    done = result(status="output_limit", exit_code=137, truncated={"stdout": True})
    yield RunEvent(kind="stdout", trace_id="r-1", at_ms=900, text="the last line\n")
    yield RunEvent(kind="result", trace_id="r-1", at_ms=900, result=done)


async def lost(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
    """Some output, then the VM is lost."""
    yield RunEvent(kind="stdout", trace_id="r-1", at_ms=2, text="before\n")
    raise InternalError("The VMM ended by signal 9.", remedy="Look at the VM's log; run again.")


@dataclass
class FakeEngine:
    """Set fields before or while the console runs: ``stalled`` makes calls wait, ``failing`` makes them raise."""

    checks: tuple[Check, ...] = CHECKS
    language_list: tuple[Language, ...] = LANGUAGES
    image_list: tuple[Image, ...] = IMAGES
    snapshot_list: tuple[Snapshot, ...] = SNAPSHOTS
    vm_list: tuple[Vm, ...] = ()
    job_list: tuple[Job, ...] = ()
    job_lines: tuple[str, ...] = ()
    steps: tuple[SetupStep, ...] = STEPS
    traces: tuple[SetupTrace, ...] = ()
    script: Script = hello
    failing: VmdeckError | None = None
    opening: VmdeckError | None = None
    stall: asyncio.Event = field(default_factory=asyncio.Event)
    stalled: bool = False
    requests: list[RunRequest] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    created: list[CreateSnapshotRequest] = field(default_factory=list)
    applied: int = 0
    applied_steps: list[Sequence[str] | None] = field(default_factory=list[Sequence[str] | None])
    cancelled_jobs: list[str] = field(default_factory=list)
    ended_runs: int = 0
    calls: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    cpu_percent: float = 62.0
    identity: EngineIdentity = IDENTITY
    sample_list: tuple[HostSample, ...] = ()
    details: dict[str, VmDetail] = field(default_factory=dict[str, VmDetail])
    serial: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    past: tuple[RunEntry, ...] = ()
    past_requests: dict[str, RunRequest] = field(default_factory=dict[str, RunRequest])
    stats: RunStats = NO_RUNS
    queries: list[RunQuery] = field(default_factory=list[RunQuery])
    setting_list: tuple[Setting, ...] = SETTINGS
    set_values: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    token: str = ""
    service_state: ServiceState = NO_SERVICE
    service_calls: list[ServiceAction] = field(default_factory=list[ServiceAction])
    verification: Verification = DAMAGED
    refreshed: list[str] = field(default_factory=list[str])
    retried: list[str] = field(default_factory=list[str])
    built: list[BuildImageRequest] = field(default_factory=list[BuildImageRequest])
    built_languages: list[BuildLanguageRequest] = field(default_factory=list[BuildLanguageRequest])
    built_docker: list[DockerImageRequest] = field(default_factory=list[DockerImageRequest])
    leftover_list: dict[str, tuple[Leftover, ...]] = field(default_factory=dict[str, tuple[Leftover, ...]])
    pruned: list[PruneRequest] = field(default_factory=list[PruneRequest])
    remote_image_list: tuple[RemoteImage, ...] = ()
    remote_snapshot_list: tuple[RemoteSnapshot, ...] = ()
    bucket_failing: VmdeckError | None = None
    moved: list[str] = field(default_factory=list[str])
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def context(
        self, tell: Callable[[str], None] = lambda _words: None, *, may_start: bool = True
    ) -> AsyncGenerator[FakeEngine]:
        self.opened += 1
        if self.opening is not None:
            raise self.opening
        try:
            yield self
        finally:
            self.closed += 1

    async def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.stalled:
            await self.stall.wait()
        if self.failing is not None:
            raise self.failing

    async def _ask_bucket(self, call: str) -> None:
        await self._answer(call)
        self._operator_only()
        if self.bucket_failing is not None:
            raise self.bucket_failing

    def _operator_only(self) -> None:
        """As ``engine.http`` guards it."""
        if self.identity.role == "viewer":
            raise ForbiddenError("This call is the operator's.", remedy="Send the token.")

    def _choice(self) -> VmmChoice:
        return VmmChoice(
            vmm="qemu",
            accelerator="tcg",
            version="7.2.22",
            reason="KVM is there but runs guest code by emulation",
        )

    async def health(self, *, full: bool = False) -> Health:
        await self._answer("health(full)" if full else "health")
        found = {check.severity for check in self.checks}
        status = "blocked" if Severity.BLOCKED in found else "ok"
        if full and status == "ok" and Severity.DEGRADED in found:  # as with the real one, only its checks tell that
            status = "degraded"
        return Health(
            status=status,
            version="0.1.0",
            uptime_s=4021,
            vmm=self._choice(),
            running=sum(one.state is VmState.RUNNING for one in self.vm_list),
            queued=0,
            capacity=2,
            checks=self.checks if full else None,
        )

    async def metrics(self) -> HostMetrics:
        await self._answer("metrics")
        return HostMetrics(
            at=NOW,
            cpu_percent=self.cpu_percent,
            load_1m=0.42,
            cores=2,
            memory_total_bytes=4_080_218_931,
            memory_used_bytes=1_288_490_188,
            disk_total_bytes=42_949_672_960,
            disk_used_bytes=12_884_901_888,
            net_rx_bytes_s=12_400,
            net_tx_bytes_s=3_100,
        )

    async def samples(self, *, last: int = 240) -> Sequence[HostSample]:
        await self._answer("samples")
        return self.sample_list[-last:]

    async def attach(self) -> AsyncGenerator[EngineIdentity]:
        """Ends when the test sets ``gone``; can't be attached to until the test clears it."""
        await self._answer("attach")
        while not self.gone.is_set():
            yield self.identity
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), 5)
        raise NotReadyError("The engine was stopped.", remedy="Start it.")

    async def languages(self) -> Sequence[Language]:
        await self._answer("languages")
        return self.language_list

    async def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        self.requests.append(request)
        await self._answer("stream")
        async for event in self.script(self, request):
            yield event

    async def run(self, request: RunRequest) -> RunResult | BatchResult:
        raise NotImplementedError("the console streams")

    async def images(self) -> Sequence[Image]:
        await self._answer("images")
        return self.image_list

    async def build_image(self, request: BuildImageRequest) -> Job:
        await self._answer("build_image")
        self._operator_only()
        self.built.append(request)
        return self._job("image", f"Build image {request.name}")

    async def build_language(self, request: BuildLanguageRequest) -> Job:
        await self._answer("build_language")
        self._operator_only()
        self.built_languages.append(request)
        return self._job("image", f"Build {request.language}")

    async def leftovers(self, request: PruneRequest) -> Sequence[Leftover]:
        await self._answer("leftovers")
        self._operator_only()
        return self.leftover_list.get(request.cache, ())

    async def prune(self, request: PruneRequest) -> Sequence[Leftover]:
        await self._answer("prune")
        self._operator_only()
        self.pruned.append(request)
        return self.leftover_list.pop(request.cache, ())

    async def build_docker_image(self, request: DockerImageRequest) -> Job:
        await self._answer("build_docker_image")
        self._operator_only()
        self.built_docker.append(request)
        return self._job("image", f"Build image {request.name}")

    async def remove_image(self, name: str) -> None:
        await self._answer("remove_image")
        self._operator_only()
        self.removed.append(name)
        self.image_list = tuple(image for image in self.image_list if image.name != name)

    async def snapshots(self) -> Sequence[Snapshot]:
        await self._answer("snapshots")
        return self.snapshot_list

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job:
        await self._answer("create_snapshot")
        self._operator_only()
        self.created.append(request)
        return self._job("snapshot", f"Snapshot for {request.language}")

    async def verify_snapshot(self, name: str) -> Verification:
        await self._answer("verify_snapshot")
        self._operator_only()
        return self.verification

    async def refresh_snapshot(self, name: str) -> Job:
        await self._answer("refresh_snapshot")
        self._operator_only()
        self.refreshed.append(name)
        return self._job("snapshot", f"Make snapshot {name}")

    async def remove_snapshot(self, name: str) -> None:
        await self._answer("remove_snapshot")
        self._operator_only()
        self.removed.append(name)
        self.snapshot_list = tuple(snapshot for snapshot in self.snapshot_list if snapshot.name != name)

    async def remote_images(self, place: RemotePlace | None = None) -> Sequence[RemoteImage]:
        await self._ask_bucket("remote_images")
        return self.remote_image_list

    async def upload_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        await self._ask_bucket("upload_image")
        self.moved.append(f"upload image {lang}")
        return self._job("upload", f"Upload image {lang}")

    async def download_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        await self._ask_bucket("download_image")
        self.moved.append(f"download image {lang}")
        return self._job("download", f"Download image {lang}")

    async def remote_snapshots(self, place: RemotePlace | None = None) -> Sequence[RemoteSnapshot]:
        await self._ask_bucket("remote_snapshots")
        return self.remote_snapshot_list

    async def upload_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        await self._ask_bucket("upload_snapshot")
        self.moved.append(f"upload snapshot {name}")
        return self._job("upload", f"Upload snapshot {name}")

    async def download_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        await self._ask_bucket("download_snapshot")
        self.moved.append(f"download snapshot {name}")
        return self._job("download", f"Download snapshot {name}")

    async def vms(self) -> Sequence[Vm]:
        await self._answer("vms")
        return self.vm_list

    async def vm(self, vm_id: str) -> VmDetail:
        await self._answer("vm")
        self._operator_only()
        one = next((one for one in self.vm_list if one.id == vm_id), None)
        if one is None:
            raise NotFoundError(f"There is no VM {vm_id}.", remedy="It may have ended by itself.")
        return self.details.get(vm_id, VmDetail(vm=one, series=())).model_copy(update={"vm": one})

    async def vm_serial(self, vm_id: str, *, after: int = 0) -> AsyncGenerator[SerialText]:
        """What the test gave for it, then nothing until the test sets ``gone``."""
        await self._answer("vm_serial")
        self._operator_only()
        offset = 0
        for text in self.serial.get(vm_id, ()):
            offset += len(text.encode())
            if offset > after:
                yield SerialText(offset=offset, text=text)
        await self.gone.wait()

    async def runs(self, query: RunQuery | None = None) -> Sequence[RunEntry]:
        await self._answer("runs")
        self._operator_only()
        asked = query or RunQuery()
        self.queries.append(asked)
        found = [entry for entry in self.past if _matches(entry, asked)]
        return found[: asked.limit]

    async def run_stats(self, *, window_s: float = 3600) -> RunStats:
        await self._answer("run_stats")
        return self.stats.model_copy(update={"window_s": window_s})

    async def run_request(self, trace_id: str) -> RunRequest:
        await self._answer("run_request")
        self._operator_only()
        if trace_id not in self.past_requests:
            raise NotFoundError(f"The source of run {trace_id} is not kept.", remedy="Only the last ones are.")
        return self.past_requests[trace_id]

    async def settings(self) -> Sequence[Setting]:
        await self._answer("settings")
        self._operator_only()
        return self.setting_list

    async def set_setting(self, name: str, value: str | None) -> Setting:
        await self._answer("set_setting")
        self._operator_only()
        self.set_values.append((name, value))
        changed = next(one for one in self.setting_list if one.name == name).model_copy(update={"pending": value})
        self.setting_list = tuple(changed if one.name == name else one for one in self.setting_list)
        return changed

    async def api_token(self) -> str:
        await self._answer("api_token")
        self._operator_only()
        return self.token

    async def service(self) -> ServiceState:
        await self._answer("service")
        self._operator_only()
        return self.service_state

    async def control_service(self, action: ServiceAction) -> ServiceState:
        await self._answer("control_service")
        self._operator_only()
        self.service_calls.append(action)
        return self.service_state

    async def kill_vm(self, vm_id: str) -> None:
        await self._answer("kill_vm")
        self._operator_only()
        if vm_id not in {one.id for one in self.vm_list}:
            raise NotFoundError(f"There is no VM {vm_id}.", remedy="It may have ended by itself.")
        self.killed.append(vm_id)
        self.vm_list = tuple(one for one in self.vm_list if one.id != vm_id)

    async def setup_steps(self, options: SetupOptions | None = None) -> Sequence[SetupStep]:
        await self._answer("setup_steps")
        if options is not None:
            self._operator_only()
        return self.steps

    async def apply_setup(self, steps: Sequence[str] | None = None, options: SetupOptions | None = None) -> Job:
        await self._answer("apply_setup")
        self._operator_only()
        self.applied += 1
        self.applied_steps.append(steps)
        return self._job("setup", "Set up this host")

    async def setup_record(self) -> Sequence[SetupTrace]:
        await self._answer("setup_record")
        self._operator_only()
        return self.traces

    async def undo_setup(self) -> Job:
        raise NotImplementedError("the console does not undo setup")

    def _job(self, kind: str, title: str) -> Job:
        job = Job(id=f"j{len(self.job_list) + 10}", kind=kind, title=title, state=JobState.RUNNING, started=NOW)
        self.job_list = (*self.job_list, job)
        return job

    async def jobs(self) -> Sequence[Job]:
        await self._answer("jobs")
        return self.job_list

    async def job_events(self, job_id: str, *, after: int = 0) -> AsyncGenerator[JobEvent]:
        await self._answer("job_events")
        job = next((one for one in self.job_list if one.id == job_id), None)
        if job is None:
            raise NotFoundError(f"There is no job {job_id}.")
        for seq, line in enumerate(self.job_lines[after:], after + 1):
            yield JobEvent(job_id=job_id, seq=seq, at=NOW, line=line, job=job)
        if job.state is JobState.RUNNING:
            await asyncio.Event().wait()

    async def retry_job(self, job_id: str) -> Job:
        await self._answer("retry_job")
        self._operator_only()
        self.retried.append(job_id)
        return self._job("image", "the same once more")

    async def cancel_job(self, job_id: str) -> Job:
        await self._answer("cancel_job")
        self._operator_only()
        self.cancelled_jobs.append(job_id)
        ended = {"state": JobState.CANCELLED, "ended": NOW}
        self.job_list = tuple(one.model_copy(update=ended) if one.id == job_id else one for one in self.job_list)
        return next(one for one in self.job_list if one.id == job_id)


def _matches(entry: RunEntry, query: RunQuery) -> bool:
    outcome = query.outcome or entry.outcome
    return (
        (query.language or entry.language) == entry.language
        and (entry.outcome != outcome[1:] if outcome.startswith("!") else entry.outcome == outcome)
        and (query.caller or entry.caller) == entry.caller
        and entry.trace_id.startswith(query.trace_id or "")
        and (query.since is None or entry.at >= query.since)
        and (query.until is None or entry.at <= query.until)
        and (query.before is None or (entry.id or 0) < query.before)
        and (query.after is None or (entry.id or 0) > query.after)
    )


def empty() -> FakeEngine:
    """A host where nothing was set up."""
    blocked = CHECKS[0].model_copy(
        update={
            "id": "image",
            "title": "An image to run code in",
            "severity": Severity.BLOCKED,
            "seen": "none",
            "fixed_by": "image",
        }
    )
    languages = tuple(one.model_copy(update={"ready": False, "warm": False, "image": None}) for one in LANGUAGES)
    return FakeEngine(
        checks=(blocked, *CHECKS), language_list=languages, image_list=(), snapshot_list=(), vm_list=(), job_list=()
    )


def typical() -> FakeEngine:
    return FakeEngine(
        vm_list=tuple(vm(number) for number in range(5)),
        job_list=JOBS,
        job_lines=LOG_LINES,
        past=PAST,
        past_requests={PAST[0].trace_id: RERUN},
        sample_list=host_samples(),
        stats=STATS,
    )


def busy(vms: int = 5) -> FakeEngine:
    """An engine that knows its VMs in detail, and of runs that failed."""
    engine = typical()
    engine.vm_list = tuple(
        vm(number, disk_read_bytes=12_000_000, disk_written_bytes=0, link_in_bytes=3000, link_out_bytes=4000)
        for number in range(vms)
    )
    engine.details = {one.id: detail(one) for one in engine.vm_list}
    engine.serial = {one.id: SERIAL for one in engine.vm_list}
    engine.past = FAILED_RUNS
    return engine


def full(vms: int = 60) -> FakeEngine:
    """More of everything than fits any screen, names as long as they may be."""
    long_name = "python3.12-with-numpy-and-pandas-and-scipy-and-much-more-2026q1"
    images = tuple(IMAGES[0].model_copy(update={"name": f"{long_name[:58]}-{number:02}"}) for number in range(50))
    snapshots = tuple(
        SNAPSHOTS[number % 2].model_copy(update={"name": f"{long_name[:58]}-{number:02}"}) for number in range(50)
    )
    jobs = tuple(JOBS[number % 3].model_copy(update={"id": f"j{number}"}) for number in range(50))
    return FakeEngine(
        checks=tuple(
            check.model_copy(update={"id": f"{check.id}-{number}"}) for number in range(4) for check in CHECKS
        ),
        image_list=images,
        snapshot_list=snapshots,
        vm_list=tuple(vm(number) for number in range(vms)),
        job_list=jobs,
        job_lines=tuple(f"line {number} of a long log" for number in range(500)),
        past=tuple(run(900 - number) for number in range(900)),
        sample_list=host_samples(240),
        stats=STATS,
    )


STATES: dict[str, Callable[[], FakeEngine]] = {"empty": empty, "typical": typical, "full": full}
