"""Runs that have ended: what history keeps of them, how to ask for it, and figures over many."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from engine.models.runs import RunRequest, RunResult, Timings
from engine.models.value import Value

Caller = Literal["cli", "http", "console", "bench", "library"]
Stage = Literal["queue", "restore", "resync", "exec", "total", "first_output"]
MAX_RUNS_ASKED = 1_000
MAX_WINDOW_S = 31 * 86400
MAX_TRACE_ID = 64  # characters


class RunEntry(Value):
    """One run as history keeps it: figures, never code, input, output or environment. Sizes are UTF-8 bytes."""

    id: int | None = Field(default=None, description="number in the file, rising with time; None until it is there")
    trace_id: str
    at: datetime
    language: str
    outcome: str = Field(description="a RunStatus, or the kind of the error that the caller got instead")
    exit_code: int | None = None
    boot: str | None = None
    vmm: str | None = None
    vm_id: str | None = None
    image: str | None = None
    snapshot: str | None = None
    error: str | None = Field(default=None, description="the message that the caller got instead of a result")
    caller: Caller
    timings: Timings | None = Field(default=None, description="None where the run ended in an error of ours")
    cpu_ms: float = 0
    peak_memory_bytes: int = 0
    code_bytes: int = 0
    stdin_bytes: int = 0
    stdout_bytes: int = 0
    stderr_bytes: int = 0

    @classmethod
    def of(cls, request: RunRequest, result: RunResult, *, caller: Caller, item: int = 0) -> RunEntry:
        """A run that came to its end; ``item`` is its index in a batch."""
        return cls(
            trace_id=result.trace_id,
            at=datetime.now(UTC),
            language=request.language,
            outcome=result.status,
            exit_code=result.exit_code,
            boot=result.boot,
            vmm=result.vm.vmm,
            vm_id=result.vm.id,
            image=result.vm.image,
            snapshot=result.vm.snapshot,
            caller=caller,
            timings=result.timings,
            cpu_ms=result.usage.cpu_ms,
            peak_memory_bytes=result.usage.peak_memory_bytes,
            code_bytes=len(request.code.encode()),
            stdin_bytes=_stdin_bytes(request, item),
            stdout_bytes=len(result.stdout.encode(errors="replace")),
            stderr_bytes=len((result.stderr or "").encode(errors="replace")),
        )

    @classmethod
    def failed(
        cls,
        request: RunRequest,
        trace_id: str,
        error_kind: str,
        *,
        caller: Caller,
        item: int = 0,
        error: str | None = None,
    ) -> RunEntry:
        """A run that ended in an error of ours; ``error_kind`` is ``VmdeckError.kind``."""
        return cls(
            trace_id=trace_id,
            at=datetime.now(UTC),
            language=request.language,
            outcome=error_kind,
            error=error,
            caller=caller,
            code_bytes=len(request.code.encode()),
            stdin_bytes=_stdin_bytes(request, item),
        )


class RunQuery(Value):
    """Which runs to list, the newest first. What is None matches all."""

    language: str | None = Field(default=None, max_length=64)
    outcome: str | None = Field(default=None, max_length=64, description='as in RunEntry; "!success" for all others')
    caller: Caller | None = None
    trace_id: str | None = Field(default=None, max_length=MAX_TRACE_ID, description="or how it begins")
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = Field(default=None, description="only entries with a smaller id: the next page")
    after: int | None = Field(default=None, description="only entries with a larger id: what came since")
    limit: int = Field(default=100, ge=1, le=MAX_RUNS_ASKED)


class Percentiles(Value):
    """Of one stage over past runs, in milliseconds, by nearest rank; None where there were none."""

    count: int
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


class RunStats(Value):
    """Figures over the runs of the last ``window_s`` seconds."""

    window_s: float
    runs: int
    failed: int = Field(description="those whose outcome is not success")
    per_minute: float
    total: Percentiles
    restore: Percentiles


def _stdin_bytes(request: RunRequest, item: int) -> int:
    stdin = request.stdin
    if stdin is None:
        return 0
    return len((stdin if isinstance(stdin, str) else stdin[item]).encode())
