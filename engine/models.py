"""The public types: what console, CLI and HTTP send to the engine and get back.

Plain frozen values without behaviour beyond validation. Sizes are in the unit that their name ends with.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_CODE_BYTES = 1024 * 1024
MAX_FILES = 64
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_FILES_TOTAL_BYTES = 8 * 1024 * 1024
MAX_STDIN_BYTES = 8 * 1024 * 1024
MAX_ARGS = 256
MAX_ARG_BYTES = 32 * 1024
MAX_ENV = 128
MAX_BATCH = 64
NAME_PATTERN = r"^[a-z0-9][a-z0-9._+-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Value(BaseModel):
    """Base of all public types: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- runs


class Limits(Value):
    """What one run may use. None takes the language's default; a request can tighten or, up to settings, widen."""

    timeout_s: float | None = Field(default=None, gt=0, le=3600, description="wall time, seconds")
    cpu_s: float | None = Field(default=None, gt=0, le=3600, description="CPU time of all processes together, seconds")
    memory_mib: int | None = Field(default=None, ge=16, le=65536, description="memory of all processes together")
    pids: int | None = Field(default=None, ge=1, le=4096, description="processes and threads at once")
    stdout_bytes: int | None = Field(default=None, ge=0, le=64 * 1024 * 1024)
    stderr_bytes: int | None = Field(default=None, ge=0, le=64 * 1024 * 1024)
    file_mib: int | None = Field(default=None, ge=0, le=65536, description="largest single file")
    tmpfs_mib: int | None = Field(default=None, ge=1, le=65536, description="all writable files together")


class SourceFile(Value):
    """A further file laid beside the code, path relative to the work folder."""

    path: str = Field(max_length=1024)
    content: str = Field(max_length=MAX_FILE_BYTES)

    @field_validator("path")
    @classmethod
    def _inside_work_folder(cls, value: str) -> str:
        parts = value.split("/")
        if not value or "\0" in value or value.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise ValueError("must be a relative path without empty, '.' or '..' parts and without NUL")
        if any(len(part.encode()) > 255 for part in parts):
            raise ValueError("a part of the path is over 255 bytes")
        return str(PurePosixPath(value))


BootMode = Literal["auto", "snapshot", "cold"]
RunStatus = Literal["success", "failed", "compile_error", "timeout", "memory_limit", "output_limit", "killed"]


class RunRequest(Value):
    """One piece of code to run once in a microVM of its own."""

    language: str = Field(max_length=64)
    code: str = ""
    files: tuple[SourceFile, ...] = Field(default=(), max_length=MAX_FILES)
    args: tuple[str, ...] = Field(default=(), max_length=MAX_ARGS)
    stdin: str | tuple[str, ...] | None = Field(
        default=None, description="text for standard input; a list runs the code once per item, each in a VM of its own"
    )
    env: dict[str, str] = Field(default_factory=dict, max_length=MAX_ENV)
    timeout: float | None = Field(default=None, gt=0, le=3600, description="seconds; short for limits.timeout_s")
    limits: Limits = Limits()
    memory_mib: int | None = Field(default=None, ge=64, le=65536, description="memory of the microVM")
    vcpus: int | None = Field(default=None, ge=1, le=32)
    boot: BootMode = "auto"
    snapshot: Name | None = Field(default=None, description="restore this snapshot and no other")
    kernel: str | None = Field(
        default=None, max_length=4096, description="boot cold with this kernel file of the host (CLI only)"
    )

    @field_validator("code")
    @classmethod
    def _code_size(cls, value: str) -> str:
        if len(value.encode()) > MAX_CODE_BYTES:
            raise ValueError(f"code is over {MAX_CODE_BYTES} bytes")
        return value

    @field_validator("args")
    @classmethod
    def _args(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for arg in value:
            if "\0" in arg or len(arg.encode()) > MAX_ARG_BYTES:
                raise ValueError(f"an argument has a NUL or is over {MAX_ARG_BYTES} bytes")
        return value

    @field_validator("env")
    @classmethod
    def _env(cls, value: dict[str, str]) -> dict[str, str]:
        for key, text in value.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", key):
                raise ValueError(f"{key!r} is not a variable name")
            if "\0" in text or len(text.encode()) > MAX_ARG_BYTES:
                raise ValueError(f"the value of {key} has a NUL or is over {MAX_ARG_BYTES} bytes")
        return value

    @field_validator("stdin")
    @classmethod
    def _stdin(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        texts = (value,) if isinstance(value, str) else value or ()
        if len(texts) > MAX_BATCH:
            raise ValueError(f"a batch has at most {MAX_BATCH} items")
        if sum(len(text.encode()) for text in texts) > MAX_STDIN_BYTES:
            raise ValueError(f"stdin is over {MAX_STDIN_BYTES} bytes")
        return value

    @field_validator("files")
    @classmethod
    def _files(cls, value: tuple[SourceFile, ...]) -> tuple[SourceFile, ...]:
        if len({file.path for file in value}) != len(value):
            raise ValueError("two files have the same path")
        if sum(len(file.content.encode()) for file in value) > MAX_FILES_TOTAL_BYTES:
            raise ValueError(f"files are over {MAX_FILES_TOTAL_BYTES} bytes together")
        return value


class Timings(Value):
    """Milliseconds per stage. ``restore`` is a boot where ``boot`` is "cold"."""

    queue: float = 0
    restore: float = 0
    resync: float = 0
    exec: float = 0
    total: float = 0
    first_output: float | None = Field(default=None, description="request to first byte of output, where there was one")


class Truncated(Value):
    stdout: bool = False
    stderr: bool = False


class Usage(Value):
    cpu_ms: float = 0
    peak_memory_bytes: int = 0


class VmRef(Value):
    id: str
    vmm: str
    accelerator: str = ""
    reason: str = Field(default="", description="why this VMM and accelerator were chosen")
    jailed: bool = Field(default=True, description="whether the VMM process was confined")


class CompileResult(Value):
    stdout: str
    stderr: str
    exit_code: int
    exec_time_ms: float


class RunResult(Value):
    """Outcome of one run. A fault of ours is never one of these: it is raised."""

    trace_id: str
    status: RunStatus
    stdout: str = Field(description="bytes that are not UTF-8 are replaced by U+FFFD")
    stderr: str | None
    exit_code: int = Field(description="the code's own; 124 after a timeout, 128+n after signal n")
    exec_time: str
    exec_time_ms: float
    compile: CompileResult | None = None
    timings: Timings
    boot: Literal["pool", "snapshot", "cold"]
    boot_reason: str = Field(default="", description="why not warmer, where it was not")
    truncated: Truncated = Truncated()
    usage: Usage = Usage()
    vm: VmRef


class BatchResult(Value):
    """Results of a request whose stdin is a list, in its order."""

    results: tuple[RunResult, ...]


class RunEvent(Value):
    """One step of a run, in order. ``result`` comes once, last.

    kind: "queued" (position), "stage" (text: restoring, booting, resyncing, compiling, running; vm_id),
    "stdout"/"stderr" (text; phase), "result" (result).
    """

    kind: Literal["queued", "stage", "stdout", "stderr", "result"]
    trace_id: str
    at_ms: float = Field(description="since the request came in")
    text: str = ""
    phase: Literal["compile", "run"] = "run"
    vm_id: str | None = None
    item: int = Field(default=0, description="index in a batch")
    result: RunResult | None = None


# --- inventory


class Language(Value):
    id: str
    title: str
    aliases: tuple[str, ...] = ()
    category: str = ""
    file_name: str
    example: str = ""
    syntax: str | None = Field(default=None, description="name of the highlighter, where there is one")
    image: str | None = Field(default=None, description="the local image that serves it, if any")
    ready: bool = False
    warm: bool = Field(default=False, description="a snapshot that fits this host exists")


class Image(Value):
    name: str
    languages: tuple[str, ...] = ()
    digest: str
    size_bytes: int
    disk_bytes: int
    created: datetime
    source: str
    packages: tuple[str, ...] = ()
    suite: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    path: str
    problem: str | None = Field(default=None, description="why it can't be used, if so")


class Snapshot(Value):
    name: str
    language: str
    image: str
    image_digest: str
    vmm: str
    vmm_version: str
    accelerator: str
    memory_mib: int
    vcpus: int
    size_bytes: int
    disk_bytes: int
    created: datetime
    warm: str = Field(default="", description='"parked" (an interpreter waits), "pagecache"')
    fits: bool = True
    problem: str | None = Field(default=None, description="why it does not fit this host, if so")


class Verification(Value):
    name: str
    ok: bool
    findings: tuple[str, ...] = ()


class VmState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping"


class Vm(Value):
    """A live microVM, as sampled by the engine."""

    id: str
    vmm: str
    accelerator: str
    pid: int | None
    state: VmState
    purpose: str = Field(description="run, snapshot, bench ...")
    language: str | None = None
    image: str | None = None
    snapshot: str | None = None
    trace_id: str | None = None
    memory_mib: int
    vcpus: int
    started: datetime
    age_s: float
    cpu_percent: float | None = None
    memory_private_bytes: int | None = None
    memory_shared_bytes: int | None = None
    jailed: bool = Field(default=True, description="whether the VMM process is confined")
    jail: str = Field(default="", description="what confines it, or why nothing does")


# --- host


class Severity(StrEnum):
    OK = "ok"
    INFO = "info"
    DEGRADED = "degraded"
    BLOCKED = "blocked"


class Check(Value):
    """One finding about the host."""

    id: str
    title: str
    severity: Severity
    seen: str
    why: str = ""
    remedy: str = ""
    fixed_by: str | None = Field(default=None, description="the setup step that can fix it")
    group: str = Field(default="host", description="what it is about: cpu, kvm, kernel, memory ...")


class VmmChoice(Value):
    """Which VMM runs use here, and why."""

    vmm: str
    accelerator: str
    version: str | None
    reason: str
    jailed: bool = Field(default=True, description="whether its processes are confined")
    jail: str = Field(default="", description="what confines them, or why nothing does")


class Health(Value):
    status: Literal["ok", "degraded", "blocked"]
    version: str
    uptime_s: float
    vmm: VmmChoice
    running: int
    queued: int
    capacity: int
    checks: tuple[Check, ...] | None = None


class HostMetrics(Value):
    at: datetime
    cpu_percent: float
    load_1m: float
    cores: int
    memory_total_bytes: int
    memory_used_bytes: int
    disk_total_bytes: int
    disk_used_bytes: int
    net_rx_bytes_s: float
    net_tx_bytes_s: float


# --- long work


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Value):
    """Long work that the engine does: setup, builds, snapshots. Outlives the view that started it."""

    id: str
    kind: str
    title: str
    state: JobState
    started: datetime
    ended: datetime | None = None
    step: str = ""
    fraction: float | None = Field(default=None, ge=0, le=1)
    error: str | None = None
    remedy: str | None = None
    result: str | None = Field(default=None, description="name of what it made")


class JobEvent(Value):
    """A line of log and/or new progress of a job; ``seq`` counts from 1 so that a viewer can resume."""

    job_id: str
    seq: int
    at: datetime
    line: str | None = None
    job: Job


class SetupStep(Value):
    """One step of first-time setup, as looked at now."""

    id: str
    title: str
    why: str
    done: bool
    seen: str
    needs: tuple[str, ...] = ()
    touches_system: bool = False
    would: tuple[str, ...] = Field(default=(), description="what apply would do, as commands or sentences")
    skipped: bool = Field(default=False, description="the operator, or what this host is, asks to leave it out")

    @property
    def settled(self) -> bool:
        """Whether setup has nothing to do here."""
        return self.done or self.skipped


class SetupOptions(Value):
    """What the operator wants of setup beyond its defaults. Files and folders are those of the engine's host."""

    skip: tuple[Literal["docker", "firecracker", "kernel", "service"], ...] = ()
    vmm: Literal["auto", "firecracker", "qemu"] = "auto"
    firecracker: str | None = Field(
        default=None, max_length=4096, description='a release, as "1.16.1", or the file of a release archive'
    )
    kernel: str | None = Field(
        default=None, max_length=4096, description='"debian", a kernel file, or https://...#sha256=<its digest>'
    )
    mirror: str | None = Field(
        default=None, max_length=4096, description="https URL that serves what the release sites serve"
    )
    offline: str | None = Field(
        default=None,
        max_length=4096,
        description="folder with what is not apt's: Firecracker's archive, a kernel by URL",
    )


TraceKind = Literal["file", "folder", "package", "group-member", "module", "service", "setting", "token"]


class SetupTrace(Value):
    """One thing that setup made on this host, as recorded; undo removes these, last first."""

    step: str
    kind: TraceKind
    what: str = Field(description="path, package, user:group, module, unit, setting, or file of the token")
    sha256: str | None = Field(
        default=None, description="of a file, or of an artefact's manifest, as it was written: a changed one is left"
    )
    before: str | None = Field(default=None, description="what stood in its place, for undo to put back")
    at: datetime


class BuildImageRequest(Value):
    """A root file system from Debian packages."""

    name: Name
    packages: tuple[
        Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]{1,127}(:[a-z0-9]+)?(=[A-Za-z0-9.+~:-]+)?$")], ...
    ]
    suite: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")] | None = None
    size_mib: int | None = Field(default=None, ge=16, le=65536, description="a floor; content plus room otherwise")
    languages: tuple[str, ...] = ()


class CreateSnapshotRequest(Value):
    language: str
    name: Name | None = None
    memory_mib: int | None = Field(default=None, ge=64, le=65536)
    vcpus: int | None = Field(default=None, ge=1, le=32)
