"""CPU, memory, load, disk, network and queue of the host: a figure and its recent past each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content

from console.history import History
from console.quantities import size
from console.widgets.spark import spark
from console.widgets.text_lines import TextLines

if TYPE_CHECKING:
    from engine.models import Health, HostMetrics, HostSample

_LABEL = 8
_VALUE = 20


@dataclass(frozen=True, slots=True)
class _Gauge:
    """``value`` is what its sparkline shows, up to ``top``: None takes the largest seen."""

    label: str
    shown: Callable[[HostMetrics], str]
    value: Callable[[HostSample], float]
    top: float | None = None


def _of(used: int, total: int) -> str:
    return f"{size(used)} / {size(total)}"


_GAUGES = (
    _Gauge("CPU", lambda now: f"{now.cpu_percent:.0f} %", lambda sample: sample.metrics.cpu_percent, 100),
    _Gauge(
        "Memory",
        lambda now: _of(now.memory_used_bytes, now.memory_total_bytes),
        lambda sample: sample.metrics.memory_used_bytes / max(1, sample.metrics.memory_total_bytes),
        1,
    ),
    _Gauge("Load", lambda now: f"{now.load_1m:.2f} on {now.cores} cores", lambda sample: sample.metrics.load_1m),
    _Gauge(
        "Disk",
        lambda now: _of(now.disk_used_bytes, now.disk_total_bytes),
        lambda sample: sample.metrics.disk_used_bytes / max(1, sample.metrics.disk_total_bytes),
        1,
    ),
    _Gauge("Net in", lambda now: f"{size(int(now.net_rx_bytes_s))}/s", lambda sample: sample.metrics.net_rx_bytes_s),
    _Gauge("Net out", lambda now: f"{size(int(now.net_tx_bytes_s))}/s", lambda sample: sample.metrics.net_tx_bytes_s),
)


class HostPanel(TextLines):
    """Two figures a row, their past where there is room; or one a row in a column beside others."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._history = History()
        self._health: Health | None = None

    def show(self, history: History, health: Health) -> None:
        self._history = history
        self._health = health
        self.draw(self._drawn())

    def on_resize(self, event: events.Resize) -> None:
        self.draw(self._drawn())

    def _drawn(self) -> list[Content]:
        newest, health = self._history.newest, self._health
        if newest is None or health is None:
            return [Content.styled(" reading …", "$muted")]
        across = 2 if self.size.height <= len(_GAUGES) else 1
        column = self.size.width // across
        cells = [
            self._line(gauge.label, gauge.shown(newest.metrics), gauge.value, gauge.top, column) for gauge in _GAUGES
        ]
        running = f"{health.running} of {health.capacity}"
        cells.append(self._line("Running", running, lambda sample: sample.running, float(health.capacity), column))
        cells.append(self._line("Queued", str(health.queued), lambda sample: sample.queued, None, column))
        return [Content.assemble(*cells[at : at + across]) for at in range(0, len(cells), across)]

    def _line(
        self, label: str, shown: str, value: Callable[[HostSample], float], top: float | None, column: int
    ) -> Content:
        shown_in = max(1, min(_VALUE, column - _LABEL - 3))
        room = column - _LABEL - shown_in - 3
        values = self._history.series(value)[-room:] if room > 0 else []
        return Content.assemble(
            (f" {label:<{_LABEL}}", "$muted"),
            f"{shown:<{shown_in}} ",
            (spark(values, room, top if top is not None else max(values, default=0.0)), "$primary"),
            " ",
        )
