"""One VM in detail, the host over time and figures of past runs, for the screens Overview and VMs."""

from __future__ import annotations

import math
from datetime import timedelta

from engine.models import (
    BootStage,
    Figure,
    HostMetrics,
    HostSample,
    Percentiles,
    RunEntry,
    RunStats,
    Vm,
    VmDetail,
    VmPoint,
)
from tests.console.samples import NOW

SERIAL = (
    "[    0.000000] Linux version 6.1.0-40-cloud-amd64 (debian-kernel@lists.debian.org)\r\n",
    "[    0.000000] Command line: console=ttyS0 panic=-1\r",
    "\n[    0.412345] Run /init as init process\r\n\x1b[32magent: listening\x1b[0m on vsock 5000\r\n",
    "agent: run r-7f3c\r\n",
)


def detail(vm: Vm, points: int = 90) -> VmDetail:
    """A VM that was restored and has worked in waves since."""
    return VmDetail(
        vm=vm,
        series=tuple(
            VmPoint(
                at=NOW - timedelta(seconds=2 * (points - number)),
                cpu_percent=None if number == 0 else 50 + 45 * math.sin(number / 7),
                memory_private_bytes=(30 + number // 4) * 1_048_576,
            )
            for number in range(points)
        ),
        stages=(
            BootStage(name="prepare", ms=11.2),
            BootStage(name="spawn", ms=2.4),
            BootStage(name="vmm", ms=96.1),
            BootStage(name="load", ms=22.9),
            BootStage(name="hello", ms=241.7),
            BootStage(name="resync", ms=6.3),
        ),
        limits=(
            Figure(name="cpu", value="1 CPU", used="throttled for 0.4 s"),
            Figure(name="memory", value="384 MiB", used="123 MiB"),
            Figure(name="threads", value="64", used="9"),
        ),
        vmm=(
            Figure(name="drives read", value="12 MiB, 310 requests"),
            Figure(name="drives written", value="0 B"),
            Figure(name="failed disk requests", value="0"),
        ),
        guest=(
            Figure(name="memory", value="238 MiB", used="61 MiB"),
            Figure(name="memory of the run", value="9.1 MiB"),
            Figure(name="CPU of the run", value="4.2 s"),
        ),
        missing=("exits: this VMM does not count them",),
    )


def host_samples(count: int = 120) -> tuple[HostSample, ...]:
    """The last minutes of a small box under changing load, ending now."""
    return tuple(_host_sample(number, count) for number in range(count))


def _host_sample(number: int, count: int) -> HostSample:
    wave = math.sin(number / 9)
    return HostSample(
        metrics=HostMetrics(
            at=NOW - timedelta(seconds=2 * (count - 1 - number)),
            cpu_percent=62 if number == count - 1 else 50 + 40 * wave,
            load_1m=0.42 + 0.3 * (1 + wave),
            cores=2,
            memory_total_bytes=4_080_218_931,
            memory_used_bytes=1_288_490_188 + number * 4_000_000,
            disk_total_bytes=42_949_672_960,
            disk_used_bytes=12_884_901_888,
            net_rx_bytes_s=12_400 * (1 + wave),
            net_tx_bytes_s=3_100 * (1 + wave),
        ),
        running=number % 3,
        queued=max(0, number % 11 - 8),
    )


STATS = RunStats(
    window_s=3600,
    runs=128,
    failed=7,
    per_minute=2.13,
    total=Percentiles(count=128, p50=460.5, p90=810, p95=1210, p99=4310),
    restore=Percentiles(count=120, p50=412, p90=520, p95=633, p99=901),
)

FAILED_RUNS = tuple(
    RunEntry(
        id=900 - number,
        trace_id=f"r-{0x6A10 - number:04x}",
        at=NOW - timedelta(minutes=4 + 9 * number),
        language=("python", "bash", "javascript")[number % 3],
        outcome=("timeout", "failed", "memory_limit", "internal")[number % 4],
        exit_code=(124, 1, 137, None)[number % 4],
        error="The VMM ended by signal 9." if number % 4 == 3 else None,
        caller="http",
    )
    for number in range(7)
)
