"""Figures of the host over time, as far as the console has looked: what sparklines are drawn from."""

from __future__ import annotations

from collections import deque

from engine.models import Health, HostMetrics

LENGTH = 240


class History:
    def __init__(self) -> None:
        self._series: dict[str, deque[float]] = {}
        self.metrics: HostMetrics | None = None
        self.health: Health | None = None

    def add(self, metrics: HostMetrics, health: Health) -> None:
        self.metrics = metrics
        self.health = health
        values = {
            "cpu": metrics.cpu_percent,
            "memory": metrics.memory_used_bytes / max(1, metrics.memory_total_bytes),
            "load": metrics.load_1m,
            "disk": metrics.disk_used_bytes / max(1, metrics.disk_total_bytes),
            "in": metrics.net_rx_bytes_s,
            "out": metrics.net_tx_bytes_s,
            "running": health.running,
            "queued": health.queued,
        }
        for name, value in values.items():
            self._series.setdefault(name, deque(maxlen=LENGTH)).append(float(value))

    def series(self, name: str) -> list[float]:
        return list(self._series.get(name, ()))
