"""A sample of the host's load, memory, disk and network, for the console's gauges. Live VMs are sampled elsewhere."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from engine.host.room import existing_parent
from engine.models import HostMetrics

_LOOPBACK = "lo"


@dataclass(frozen=True, slots=True)
class _Counters:
    """What only grows; rates are the difference of two."""

    at_s: float
    cpu_busy_s: float
    cpu_all_s: float
    rx_bytes: int
    tx_bytes: int

    @classmethod
    def now(cls) -> _Counters:
        cpu = psutil.cpu_times()
        idle = cpu.idle + cpu.iowait
        busy = cpu.user + cpu.nice + cpu.system + cpu.irq + cpu.softirq + cpu.steal  # user holds guest time already
        links = [counters for name, counters in psutil.net_io_counters(pernic=True).items() if name != _LOOPBACK]
        received, sent = sum(link.bytes_recv for link in links), sum(link.bytes_sent for link in links)
        return cls(time.monotonic(), busy, busy + idle, received, sent)


class HostSampler:
    """Holds the last counters: rates are over the time since the previous sample, the first since construction."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._last = _Counters.now()

    def sample(self) -> HostMetrics:
        """Now. Reads a few files of the kernel, waits for nothing."""
        now, last = _Counters.now(), self._last
        self._last = now
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(existing_parent(self._data_dir)))
        return HostMetrics(
            at=datetime.now(UTC),
            cpu_percent=min(100.0, 100 * _rate(now.cpu_busy_s - last.cpu_busy_s, now.cpu_all_s - last.cpu_all_s)),
            load_1m=os.getloadavg()[0],
            cores=os.cpu_count() or 1,
            memory_total_bytes=memory.total,
            memory_used_bytes=memory.total - memory.available,
            disk_total_bytes=disk.total,
            disk_used_bytes=disk.used,
            net_rx_bytes_s=_rate(now.rx_bytes - last.rx_bytes, now.at_s - last.at_s),
            net_tx_bytes_s=_rate(now.tx_bytes - last.tx_bytes, now.at_s - last.at_s),
        )


def _rate(grown: float, per: float) -> float:
    """Zero where no time has passed, or a counter was reset (a network link went away)."""
    return grown / per if per > 0 and grown > 0 else 0.0
