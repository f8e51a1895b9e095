"""A graph of block characters: one column per sample, the newest at the right, with its scale at the left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from textual import events
from textual.content import Content

from console.quantities import UNKNOWN, age
from console.widgets.spark import BLOCKS
from console.widgets.text_lines import TextLines

_SCALE_CELLS = 9
_LEAST_ROWS = 2


@dataclass(frozen=True, slots=True)
class Course:
    """Values over time, oldest first, None where one is not known. ``top`` is where the scale ends at least."""

    title: str
    points: Sequence[tuple[datetime, float | None]]
    top: float
    shown: Callable[[float], str]


class TextGraph(TextLines):
    """Draws one ``Course`` into whatever height it has."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._course: Course | None = None

    def show(self, course: Course) -> None:
        self._course = course
        self.draw(self._drawn(course))

    def on_resize(self, event: events.Resize) -> None:
        if self._course is not None:
            self.draw(self._drawn(self._course))

    def _drawn(self, course: Course) -> list[Content]:
        width = max(0, self.size.width - _SCALE_CELLS - 2)
        rows = max(_LEAST_ROWS, self.size.height - 1)
        points = list(course.points)[-width:] if width else []
        values = [value for _, value in points]
        top = max(course.top, *(value for value in values if value is not None), 0.0)
        lines = [_title(course, points)]
        for row in range(rows):
            label = course.shown(top) if row == 0 else course.shown(0) if row == rows - 1 else ""
            blocks = "".join(_block(value, top, rows, rows - 1 - row) for value in values)
            lines.append(
                Content.assemble(
                    (f"{label:>{_SCALE_CELLS - 1}} ", "$muted"), ("┤", "$rule"), (blocks.rjust(width), "$primary")
                )
            )
        return lines


def _title(course: Course, points: Sequence[tuple[datetime, float | None]]) -> Content:
    """The newest value, the largest shown, and the time that all of them span."""
    known = [value for _, value in points if value is not None]
    now, most = (course.shown(known[-1]), course.shown(max(known))) if known else (UNKNOWN, UNKNOWN)
    span = f"  over {age((points[-1][0] - points[0][0]).total_seconds())}" if len(points) > 1 else ""
    return Content.assemble(
        (f" {course.title}  ", "bold"), ("now ", "$muted"), now, ("  most ", "$muted"), most, (span, "$muted")
    )


def _block(value: float | None, top: float, rows: int, row: int) -> str:
    """What a value fills of a row, counted from the lowest; a known value shows at least the lowest block."""
    if value is None or top <= 0:
        return " "
    eighths = max(1, round(value / top * rows * len(BLOCKS))) - row * len(BLOCKS)
    return BLOCKS[min(eighths, len(BLOCKS)) - 1] if eighths > 0 else " "
