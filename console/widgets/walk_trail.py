"""The stages of the setup wizard: a column beside it where there is room, one line above it where there is not."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from console.setup_stages import Stage, State
from console.setup_walk import STAGES, Walk

_SIGNS = {
    State.OPEN: ("·", "muted"),
    State.RUNNING: ("●", "accent"),
    State.FAILED: ("✗", "error"),
    State.DONE: ("✓", "success"),
    State.LEFT_OUT: ("-", "muted"),
}
_HERE = "▸"
_GAPS = (2, 1)


class WalkTrail(Widget):
    """Shows how each stage stands, and which one is looked at. A click goes there."""

    class Chosen(Message):
        """The operator wants to look at a stage."""

        def __init__(self, stage: Stage) -> None:
            super().__init__()
            self.stage = stage

    def __init__(self) -> None:
        super().__init__()
        self._cells: tuple[tuple[Stage, str, str, str, bool], ...] = ()

    def show(self, walk: Walk, at: Stage) -> None:
        """Paints only where something differs."""
        cells = tuple(
            (spec.stage, *_SIGNS[_seen(walk, spec.stage, at)], spec.title, spec.stage is at) for spec in STAGES
        )
        if cells != self._cells:
            self._cells = cells
            self.refresh()

    def render(self) -> Content:
        if self.size.height > 1:
            return Content("\n").join([Content(""), *(_entry(*cell[1:], wide=True) for cell in self._cells)])
        return Content.assemble(" ", *self._line())

    def _line(self) -> list[Content]:
        """All titles where they fit, with wide gaps if they may; else only the title of the stage looked at."""
        for gap in _GAPS:
            parts = [_entry(*cell[1:]) for cell in self._cells]
            if sum(part.cell_length + gap for part in parts) - gap + 1 <= self.size.width:
                break
        else:
            gap, parts = 2, [_entry(*cell[1:], short=not cell[-1]) for cell in self._cells]
        return [part if number == 0 else Content.assemble(" " * gap, part) for number, part in enumerate(parts)]

    def on_click(self, event: events.Click) -> None:
        stage = self._at(event.x, event.y)
        if stage is not None:
            self.post_message(self.Chosen(stage))

    def _at(self, x: int, y: int) -> Stage | None:
        if self.size.height > 1:
            return self._cells[y - 1][0] if 0 < y <= len(self._cells) else None
        end = 1
        for cell, part in zip(self._cells, self._line(), strict=True):
            end += part.cell_length
            if x < end:
                return cell[0]
        return None


def _seen(walk: Walk, stage: Stage, at: Stage) -> State:
    """Nothing is ticked before it was looked at, and the end not before one is there."""
    if walk.steps is None:
        return State.OPEN
    if stage is Stage.DONE:
        return State.DONE if at is Stage.DONE and walk.is_ready else State.OPEN
    return walk.state(stage)


def _entry(sign: str, role: str, title: str, here: bool, *, short: bool = False, wide: bool = False) -> Content:
    if short:
        return Content.styled(sign, f"${role}")
    if wide:
        pointer = (f" {_HERE} " if here else "   ", "bold $primary")
        return Content.assemble(pointer, (f"{sign} ", f"${role}"), (title, "bold $primary" if here else "$foreground"))
    if here:
        return Content.assemble((f"{_HERE} {title}", "bold $primary"))
    return Content.assemble((f"{sign} ", f"${role}"), (title, "$foreground" if sign != "·" else "$muted"))
