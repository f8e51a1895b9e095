"""One run: what a caller sends, and gets back."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from engine.models.value import Name, Value

MAX_CODE_BYTES = 1024 * 1024
MAX_FILES = 64
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_FILES_TOTAL_BYTES = 8 * 1024 * 1024
MAX_STDIN_BYTES = 8 * 1024 * 1024
MAX_ARGS = 256
MAX_ARG_BYTES = 32 * 1024
MAX_ENV = 128
MAX_BATCH = 64


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
    image: str | None = None
    snapshot: str | None = Field(default=None, description="the one it was restored from; None after a cold boot")


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
