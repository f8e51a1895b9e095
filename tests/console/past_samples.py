"""Runs of the past, as history would give them."""

from __future__ import annotations

from datetime import timedelta

from engine.models import RunEntry, RunRequest, Timings
from tests.console.samples import NOW


def run(number: int, **changes: object) -> RunEntry:
    """One of a busy engine; the higher the number, the later it ended."""
    cold = number % 5 == 3
    values: dict[str, object] = {
        "id": number,
        "trace_id": f"{0x5F0C_3A91_7B00_0000 + number:016x}",
        "at": NOW - timedelta(seconds=37 * (900 - number)),
        "language": ("python", "bash", "javascript")[number % 3],
        "outcome": "success" if number % 7 else "failed",
        "exit_code": 0 if number % 7 else 1,
        "boot": "cold" if cold else "snapshot",
        "vmm": "qemu",
        "vm_id": f"{0x0A31 + number:012x}",
        "image": "python",
        "snapshot": None if cold else "python-256m-1cpu",
        "caller": ("http", "cli", "console")[number % 3],
        "timings": Timings(
            queue=0.8,
            restore=2140 if cold else 118.4,
            resync=6.3,
            exec=34 + number % 9,
            total=170.2,
            first_output=151.7,
        ),
        "cpu_ms": 22.5,
        "peak_memory_bytes": 9_543_680 + 65536 * (number % 16),
        "code_bytes": 212,
        "stdin_bytes": 12,
        "stdout_bytes": 58,
    }
    return RunEntry.model_validate(values | changes)


PAST = (
    run(900, language="python", outcome="success", exit_code=0, caller="http"),
    run(
        899, outcome="timeout", exit_code=124, timings=Timings(queue=0.4, restore=121, resync=6, exec=5004, total=5139)
    ),
    run(
        898,
        outcome="busy",
        error="All 2 places are taken and 32 runs wait",
        exit_code=None,
        boot=None,
        vmm=None,
        vm_id=None,
        image=None,
        snapshot=None,
        timings=None,
    ),
    run(897, language="rust", outcome="compile_error", exit_code=1, caller="cli"),
    run(896, outcome="memory_limit", exit_code=137),
    run(895),
)

RERUN = RunRequest(language="bash", code='echo "once more: $1"\n', args=("two words", "x"), stdin="a line\n")
