"""CPU, memory, load, disk, network and queue of the host: a figure and its recent past each."""

from __future__ import annotations

from typing import NamedTuple

from textual import events
from textual.content import Content
from textual.widget import Widget

from console.history import History
from console.quantities import size
from console.widgets.spark import spark
from engine.models import Health, HostMetrics

_LABEL = 9
_VALUE = 20
_WIDE_ENOUGH_FOR_TWO = 78


class _Figure(NamedTuple):
    label: str
    value: str
    series: str
    top: float | None
    """Value of a full block; None takes the largest seen."""


def _figures(metrics: HostMetrics, health: Health) -> tuple[_Figure, ...]:
    memory = f"{size(metrics.memory_used_bytes)} / {size(metrics.memory_total_bytes)}"
    disk = f"{size(metrics.disk_used_bytes)} / {size(metrics.disk_total_bytes)}"
    return (
        _Figure("CPU", f"{metrics.cpu_percent:.0f} %", "cpu", 100),
        _Figure("Memory", memory, "memory", 1),
        _Figure("Load", f"{metrics.load_1m:.2f} on {metrics.cores} cores", "load", None),
        _Figure("Disk", disk, "disk", 1),
        _Figure("Net in", f"{size(int(metrics.net_rx_bytes_s))}/s", "in", None),
        _Figure("Net out", f"{size(int(metrics.net_tx_bytes_s))}/s", "out", None),
        _Figure("Running", f"{health.running} of {health.capacity}", "running", float(health.capacity)),
        _Figure("Queued", str(health.queued), "queued", None),
    )


class HostPanel(Widget):
    """Two figures a row, or one a row where ``narrow`` room or a column of its own asks for it."""

    def __init__(self, history: History, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._history = history
        self._shown: Content | None = None

    def update_figures(self) -> None:
        """Draw the newest figures; paints only if something changed."""
        content = self._content()
        if self._shown is None or content.markup != self._shown.markup:
            self._shown = content
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._shown = None

    def render(self) -> Content:
        return self._content()

    def _content(self) -> Content:
        history = self._history
        if history.metrics is None or history.health is None:
            return Content.styled(" reading …", "$muted")
        across = 2 if self.size.width >= _WIDE_ENOUGH_FOR_TWO and self.size.height <= 8 else 1
        room = self.size.width // across - _LABEL - _VALUE - 3
        cells = [self._figure(figure, room) for figure in _figures(history.metrics, history.health)]
        rows = [Content.assemble(*cells[at : at + across]) for at in range(0, len(cells), across)]
        return Content("\n").join(rows)

    def _figure(self, figure: _Figure, room: int) -> Content:
        values = self._history.series(figure.series)
        top = figure.top if figure.top is not None else max(values, default=0.0)
        return Content.assemble(
            (f" {figure.label:<{_LABEL}}", "$muted"),
            f"{figure.value:<{_VALUE}} ",
            (spark(values, room, top), "$primary"),
            " ",
        )
