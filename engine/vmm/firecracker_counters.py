"""Firecracker's own metrics, summed up: it writes a line of JSON a minute, and one whenever it is told to flush.

A counter in a line is what came since the line before, so each line is added as it comes; a measured time is told again
in each. Docs: Firecracker, docs/metrics.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from engine.models import Figure
from engine.vmm import figures
from engine.vmm.base import VmmCounters
from engine.vmm.tail import Tail

_LINE_MAX = 64 * 1024  # it is 10 KiB or so
_COUNT_MAX = 2**63
_COUNTED = (
    ("block", "read_bytes"),
    ("block", "read_count"),
    ("block", "write_bytes"),
    ("block", "write_count"),
    ("block", "execute_fails"),
    ("vsock", "rx_bytes_count"),
    ("vsock", "tx_bytes_count"),
    ("vcpu", "exit_io_in"),
    ("vcpu", "exit_io_out"),
    ("vcpu", "exit_mmio_read"),
    ("vcpu", "exit_mmio_write"),
    ("vcpu", "failures"),
    ("seccomp", "num_faults"),
    ("uart", "write_count"),
    ("entropy", "entropy_bytes"),
)
_TIMES_US = (
    ("load the snapshot", "latencies_us", "load_snapshot"),
    ("start its process", "api_server", "process_startup_time_us"),
)


class FirecrackerCounters:
    """Hears the lines that come through ``lines``."""

    def __init__(self, read_max: int) -> None:
        """A Firecracker that writes more than ``read_max`` bytes unasked is not heard any longer."""
        self.lines = Tail(0, read_max, self._hear)
        self.flushes = 0
        self._line = bytearray()
        self._sums = dict.fromkeys(_COUNTED, 0)
        self._times_us: dict[str, int] = {}

    async def more_than(self, flushes: int) -> bool:
        """Wait for a line after that many; False where no more come."""
        self.lines.allow(_LINE_MAX)
        while self.flushes <= flushes:
            if not await self.lines.grown(self.lines.total):
                return False
        return True

    def summary(self) -> VmmCounters:
        def of(group: str, name: str) -> int:
            return self._sums[group, name]

        read, written = of("block", "read_bytes"), of("block", "write_bytes")
        exits = sum(of("vcpu", name) for name in ("exit_io_in", "exit_io_out", "exit_mmio_read", "exit_mmio_write"))
        shown = (
            ("drives read", figures.traffic(read, of("block", "read_count"))),
            ("drives written", figures.traffic(written, of("block", "write_count"))),
            ("failed disk requests", str(of("block", "execute_fails"))),
            ("vsock from the guest", figures.size(of("vsock", "tx_bytes_count"))),
            ("vsock to the guest", figures.size(of("vsock", "rx_bytes_count"))),
            ("exits of the vCPUs", str(exits)),
            ("failures of the vCPUs", str(of("vcpu", "failures"))),
            ("faults of seccomp", str(of("seccomp", "num_faults"))),
            ("bytes to the console", figures.size(of("uart", "write_count"))),
            ("entropy given", figures.size(of("entropy", "entropy_bytes"))),
            *((f"time to {what}", figures.duration(us / 1_000_000)) for what, us in self._times_us.items()),
        )
        return VmmCounters(read, written, tuple(Figure(name=name, value=value) for name, value in shown))

    def _hear(self, data: bytes) -> None:
        self._line += data
        *whole, rest = self._line.split(b"\n")
        self._line = rest[-_LINE_MAX:]
        for line in whole:
            self._add(bytes(line))

    def _add(self, line: bytes) -> None:
        """A process that its guest has taken over may write anything: what is no line of metrics counts nothing."""
        try:
            found: object = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(found, dict):
            return
        groups = cast("Mapping[str, object]", found)
        self.flushes += 1
        for group, name in _COUNTED:
            self._sums[group, name] = min(self._sums[group, name] + _number(groups, group, name), _COUNT_MAX - 1)
        for what, group, name in _TIMES_US:
            if us := _number(groups, group, name):
                self._times_us[what] = us


def _number(groups: Mapping[str, object], group: str, name: str) -> int:
    table = groups.get(group)
    value = cast("Mapping[str, object]", table).get(name) if isinstance(table, dict) else None
    return min(value, _COUNT_MAX) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
