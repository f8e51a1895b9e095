"""An engine in memory whose state a test sets: what the console sees is decided here, when it sees it, by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from engine.errors import InternalError, NotFoundError, VmdeckError
from engine.models import (
    BatchResult,
    BuildImageRequest,
    Check,
    CreateSnapshotRequest,
    Health,
    HostMetrics,
    Image,
    Job,
    JobEvent,
    JobState,
    Language,
    RunEvent,
    RunRequest,
    RunResult,
    SetupStep,
    Severity,
    Snapshot,
    Timings,
    Usage,
    Verification,
    Vm,
    VmmChoice,
    VmRef,
    VmState,
)

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
Script = Callable[["FakeEngine", RunRequest], AsyncIterator[RunEvent]]


def result(
    *, stdout: str = "", stderr: str | None = None, status: str = "success", exit_code: int = 0, **more: object
) -> RunResult:
    values: dict[str, object] = {
        "trace_id": "r-7f3c",
        "status": status,
        "stdout": stdout,
        "stderr": stderr,
        "exit_code": exit_code,
        "exec_time": "34ms",
        "exec_time_ms": 34,
        "timings": Timings(queue=1.2, restore=412, resync=6.3, exec=34, total=460.5, first_output=438),
        "boot": "snapshot",
        "usage": Usage(cpu_ms=22, peak_memory_bytes=9_543_680),
        "vm": VmRef(id="vm-0a31", vmm="qemu", reason="KVM runs guest code by emulation here"),
    }
    return RunResult.model_validate(values | more)


async def hello(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
    """A short run: two streams, then success."""
    yield RunEvent(kind="queued", trace_id="r-7f3c", at_ms=0.1)
    yield RunEvent(kind="stage", trace_id="r-7f3c", at_ms=1.2, text="restoring", vm_id="vm-0a31")
    yield RunEvent(kind="stage", trace_id="r-7f3c", at_ms=414, text="running", vm_id="vm-0a31")
    yield RunEvent(kind="stdout", trace_id="r-7f3c", at_ms=438, text="Hello from Python 3.11.2 in a microVM\n")
    yield RunEvent(kind="stderr", trace_id="r-7f3c", at_ms=440, text="a warning on standard error\n")
    yield RunEvent(kind="stdout", trace_id="r-7f3c", at_ms=441, text="1 first line of stdin\n2 second")
    yield RunEvent(kind="result", trace_id="r-7f3c", at_ms=460, result=result(stdout="Hello"))


async def endless(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
    """Prints one line and then goes on until it is cancelled; notes that its VM was ended."""
    yield RunEvent(kind="stage", trace_id="r-1", at_ms=1, text="running", vm_id="vm-0a31")
    yield RunEvent(kind="stdout", trace_id="r-1", at_ms=2, text="tick 0\n")
    try:
        await asyncio.Event().wait()
    finally:
        engine.ended_runs += 1


async def flood(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
    """50 MB of lines, as fast as they are taken."""
    block = "".join(f"{number:06} {'x' * 92}\n" for number in range(650))
    for part in range(800):
        yield RunEvent.model_construct(kind="stdout", trace_id="r-1", at_ms=part, text=block, phase="run", item=0)
    done = result(status="output_limit", exit_code=137, truncated={"stdout": True})
    yield RunEvent(kind="stdout", trace_id="r-1", at_ms=900, text="the last line\n")
    yield RunEvent(kind="result", trace_id="r-1", at_ms=900, result=done)


async def lost(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
    """Some output, then the VM is lost."""
    yield RunEvent(kind="stdout", trace_id="r-1", at_ms=2, text="before\n")
    raise InternalError("The VMM ended by signal 9.", remedy="Look at the VM's log; run again.")


CHECKS = (
    Check(
        id="kvm.runs",
        title="KVM executes guest code",
        severity=Severity.DEGRADED,
        seen="by emulation: a loop of 1,000,000 steps took 1.4 s, on hardware under 5 ms",
        why="Firecracker and KVM need hardware virtualization; without it guests run under QEMU's translator, slower.",
        remedy="Use a metal instance, or one with nested virtualization, or a PVM guest kernel.",
    ),
    Check(
        id="snapshot.python",
        title="A warm snapshot for Python",
        severity=Severity.DEGRADED,
        seen="none that fits this host",
        why="Without one each run boots cold, which takes seconds.",
        remedy="Let setup make it, or run: vmdeck snapshot create --lang python",
        fixed_by="snapshot",
    ),
    Check(id="swap", title="Swap", severity=Severity.INFO, seen="3.1 GiB used", why="Guest memory may be on disk."),
    Check(id="qemu", title="QEMU", severity=Severity.OK, seen="qemu-system-x86_64 7.2.22"),
    Check(id="kernel", title="Guest kernel", severity=Severity.OK, seen="6.1.0-40-cloud-amd64, bzImage and ELF"),
    Check(id="guest", title="Guest initramfs", severity=Severity.OK, seen="built from the present sources"),
    Check(id="image.python", title="Image for Python", severity=Severity.OK, seen="python, 83 MiB"),
    Check(id="disk", title="Disk room", severity=Severity.OK, seen="28 GiB free in the data folder"),
    Check(id="memory", title="Memory", severity=Severity.OK, seen="2.6 of 3.8 GiB free"),
    Check(id="runtime", title="Runtime folder", severity=Severity.OK, seen="private, on tmpfs"),
)

LANGUAGES = (
    Language(
        id="python",
        title="Python",
        aliases=("py",),
        category="Popular",
        file_name="main.py",
        syntax="python",
        example=(
            "import platform, sys\n\n"
            'print(f"Hello from Python {platform.python_version()} in a microVM")\n'
            "for number, line in enumerate(sys.stdin, 1):\n"
            '    print(number, line, end="")  # counts lines\n'
        ),
        image="python",
        ready=True,
        warm=True,
    ),
    Language(
        id="bash",
        title="Bash",
        category="Scripting",
        file_name="main.sh",
        syntax="bash",
        example='echo "Hello from Bash $BASH_VERSION"\n',
        image="python",
        ready=True,
    ),
    Language(id="forth", title="Forth", category="Esoteric", file_name="main.fs", example=': hi ." hi" ;\nhi\n'),
)

IMAGES = (
    Image(
        name="python",
        languages=("python", "bash"),
        digest="sha256:7f3c" + "0" * 60,
        size_bytes=88_080_384,
        disk_bytes=61_865_984,
        created=NOW - timedelta(days=2),
        source="debian bookworm",
        packages=("python3", "bash"),
        suite="bookworm",
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        user="nobody",
        path="/var/lib/vmdeck/images/python/rootfs.ext4",
    ),
    Image(
        name="node22",
        languages=("javascript",),
        digest="sha256:19ab" + "0" * 60,
        size_bytes=210_763_776,
        disk_bytes=154_140_672,
        created=NOW - timedelta(days=40),
        source="docker node:22-slim",
        path="/var/lib/vmdeck/images/node22/rootfs.ext4",
        problem="the file does not have the digest in its manifest: it was changed or damaged; build it again",
    ),
)

SNAPSHOTS = (
    Snapshot(
        name="python-256m-1cpu",
        language="python",
        image="python",
        image_digest="sha256:7f3c" + "0" * 60,
        vmm="qemu",
        vmm_version="7.2.22",
        accelerator="tcg",
        memory_mib=256,
        vcpus=1,
        size_bytes=268_500_992,
        disk_bytes=124_780_544,
        created=NOW - timedelta(hours=5),
        warm="parked",
    ),
    Snapshot(
        name="bash-128m-1cpu",
        language="bash",
        image="python",
        image_digest="sha256:41d0" + "0" * 60,
        vmm="qemu",
        vmm_version="7.2.19",
        accelerator="tcg",
        memory_mib=128,
        vcpus=1,
        size_bytes=134_283_264,
        disk_bytes=70_254_592,
        created=NOW - timedelta(days=31),
        warm="pagecache",
        fits=False,
        problem="made with qemu 7.2.19, here is 7.2.22; make it again",
    ),
)

STEPS = (
    SetupStep(id="packages", title="Host packages", why="QEMU runs the guests", done=True, seen="qemu-system-x86 7.2"),
    SetupStep(id="kernel", title="Guest kernel", why="what guests boot", done=True, seen="6.1.0-40"),
    SetupStep(
        id="snapshot",
        title="Snapshot for Python",
        why="so that runs start warm",
        done=False,
        seen="none",
        needs=("kernel",),
        would=("boot the image python with 256 MiB and 1 vCPU", "save its state"),
    ),
)

JOBS = (
    Job(
        id="j3",
        kind="setup",
        title="Set up this host",
        state=JobState.RUNNING,
        started=NOW - timedelta(seconds=62),
        step="image: unpack packages",
        fraction=0.57,
    ),
    Job(
        id="j2",
        kind="snapshot",
        title="Snapshot bash-128m-1cpu",
        state=JobState.FAILED,
        started=NOW - timedelta(minutes=20),
        ended=NOW - timedelta(minutes=19, seconds=48),
        error="No room: 70 MiB needed, 12 MiB free in the data folder.",
        remedy="Delete images or snapshots that are not used.",
    ),
    Job(
        id="j1",
        kind="snapshot",
        title="Snapshot python-256m-1cpu",
        state=JobState.DONE,
        started=NOW - timedelta(hours=5, seconds=21),
        ended=NOW - timedelta(hours=5),
        fraction=1,
        result="python-256m-1cpu",
    ),
)


def vm(number: int, **changes: object) -> Vm:
    states = (VmState.RUNNING, VmState.RUNNING, VmState.STARTING, VmState.READY, VmState.STOPPING)
    state = states[number % len(states)]
    sampled = state is not VmState.STARTING
    values: dict[str, object] = {
        "id": f"vm-{0x0A31 + number:04x}",
        "vmm": "qemu",
        "accelerator": "tcg",
        "pid": 22817 + number if sampled else None,
        "state": state,
        "purpose": "run",
        "language": ("python", "bash", "javascript")[number % 3],
        "image": "python",
        "snapshot": "python-256m-1cpu" if number % 3 == 0 else None,
        "trace_id": f"r-{0x7F3C + number:04x}" if state is VmState.RUNNING else None,
        "memory_mib": 256,
        "vcpus": 1,
        "started": NOW - timedelta(seconds=12 + number),
        "age_s": 12.0 + 37 * number,
        "cpu_percent": 41.0 * (number % 3) if sampled else None,
        "memory_private_bytes": (43 + number) * 1_048_576 if sampled else None,
        "memory_shared_bytes": 80 * 1_048_576 if sampled else None,
    }
    return Vm.model_validate(values | changes)


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
    cancelled_jobs: list[str] = field(default_factory=list)
    ended_runs: int = 0
    calls: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    cpu_percent: float = 62.0

    @asynccontextmanager
    async def context(self) -> AsyncIterator[FakeEngine]:
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

    def _choice(self) -> VmmChoice:
        return VmmChoice(
            vmm="qemu",
            accelerator="tcg",
            version="7.2.22",
            reason="KVM is there but runs guest code by emulation",
        )

    async def health(self, *, full: bool = False) -> Health:
        await self._answer("health(full)" if full else "health")
        worst = {check.severity for check in self.checks}
        status = "blocked" if Severity.BLOCKED in worst else "degraded" if Severity.DEGRADED in worst else "ok"
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

    async def languages(self) -> Sequence[Language]:
        await self._answer("languages")
        return self.language_list

    async def stream(self, request: RunRequest) -> AsyncIterator[RunEvent]:
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
        raise NotImplementedError("the console does not build images yet")

    async def remove_image(self, name: str) -> None:
        await self._answer("remove_image")
        self.removed.append(name)
        self.image_list = tuple(image for image in self.image_list if image.name != name)

    async def snapshots(self) -> Sequence[Snapshot]:
        await self._answer("snapshots")
        return self.snapshot_list

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job:
        await self._answer("create_snapshot")
        self.created.append(request)
        return self._job("snapshot", f"Snapshot for {request.language}")

    async def verify_snapshot(self, name: str) -> Verification:
        await self._answer("verify_snapshot")
        return Verification(name=name, ok=False, findings=("memory: digest differs from the manifest",))

    async def remove_snapshot(self, name: str) -> None:
        await self._answer("remove_snapshot")
        self.removed.append(name)
        self.snapshot_list = tuple(snapshot for snapshot in self.snapshot_list if snapshot.name != name)

    async def vms(self) -> Sequence[Vm]:
        await self._answer("vms")
        return self.vm_list

    async def kill_vm(self, vm_id: str) -> None:
        await self._answer("kill_vm")
        if vm_id not in {one.id for one in self.vm_list}:
            raise NotFoundError(f"There is no VM {vm_id}.", remedy="It may have ended by itself.")
        self.killed.append(vm_id)
        self.vm_list = tuple(one for one in self.vm_list if one.id != vm_id)

    async def setup_steps(self) -> Sequence[SetupStep]:
        await self._answer("setup_steps")
        return self.steps

    async def apply_setup(self, steps: Sequence[str] | None = None) -> Job:
        await self._answer("apply_setup")
        self.applied += 1
        return self._job("setup", "Set up this host")

    def _job(self, kind: str, title: str) -> Job:
        job = Job(id=f"j{len(self.job_list) + 10}", kind=kind, title=title, state=JobState.RUNNING, started=NOW)
        self.job_list = (*self.job_list, job)
        return job

    async def jobs(self) -> Sequence[Job]:
        await self._answer("jobs")
        return self.job_list

    async def job_events(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        await self._answer("job_events")
        job = next((one for one in self.job_list if one.id == job_id), None)
        if job is None:
            raise NotFoundError(f"There is no job {job_id}.")
        for seq, line in enumerate(self.job_lines, 1):
            yield JobEvent(job_id=job_id, seq=seq, at=NOW, line=line, job=job)
        if job.state is JobState.RUNNING:
            await asyncio.Event().wait()

    async def cancel_job(self, job_id: str) -> Job:
        await self._answer("cancel_job")
        self.cancelled_jobs.append(job_id)
        ended = {"state": JobState.CANCELLED, "ended": NOW}
        self.job_list = tuple(one.model_copy(update=ended) if one.id == job_id else one for one in self.job_list)
        return next(one for one in self.job_list if one.id == job_id)


LOG_LINES = (
    "[1/4] packages: nothing to do",
    "[2/4] kernel: nothing to do",
    "[3/4] image: mmdebstrap --variant=apt bookworm",
    "I: downloading packages with apt",
    "I: extracting archives",
    "I: installing essential packages",
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
    return FakeEngine(vm_list=tuple(vm(number) for number in range(5)), job_list=JOBS, job_lines=LOG_LINES)


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
    )


STATES: dict[str, Callable[[], FakeEngine]] = {"empty": empty, "typical": typical, "full": full}
