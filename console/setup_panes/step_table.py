"""The steps of setup as rows: how each stands, whether it touches the system, what was seen."""

from __future__ import annotations

from collections.abc import Sequence

from console.setup_stages import Mark
from console.setup_walk import Walk
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column, LineTable, Row
from engine.models import SetupStep

_MARKS = {
    Mark.DONE: Cell("✓ done", "ok"),
    Mark.SKIPPED: Cell("- skipped", "muted"),
    Mark.TO_DO: Cell("○ to do", "accent"),
    Mark.LEFT_OUT: Cell("- left out", "warning"),
    Mark.HELD_UP: Cell("! held up", "warning"),
    Mark.NOW: Cell("● doing", "accent"),
    Mark.FAILED: Cell("✗ failed", "error"),
}


class StepTable(LineTable):
    def __init__(self) -> None:
        super().__init__(
            (Column("STATE", 10), Column("STEP", 24), Column("TOUCHES", 11, priority=7), Column("SEEN", 0, priority=5)),
            empty=("Looking at packages, kernel, images and services …",),
            sortable=False,  # the order is that of the work
        )

    def show(self, walk: Walk, steps: Sequence[SetupStep]) -> None:
        self.set_rows([_row(walk, step) for step in steps])


def _row(walk: Walk, step: SetupStep) -> Row:
    held_up = walk.held_up.get(step.id)
    seen = f"needs {held_up.title}, which is left out" if held_up is not None else step.seen
    touches = "the system" if step.touches_system else "own folders"
    return Row(
        step.id,
        (
            _MARKS[walk.mark(step)],
            Cell(step.title),
            Cell(touches, "warning" if step.touches_system and not step.settled else "muted"),
            Cell(seen, "muted"),
        ),
    )


def step_detail(walk: Walk, step: SetupStep) -> Detail:
    titles = [need.title for each in step.needs if (need := walk.step(each)) is not None]
    mark = walk.mark(step)
    would = "Would do" if mark in (Mark.TO_DO, Mark.FAILED, Mark.NOW) else "Is not done"
    return Detail(
        step.title,
        (
            Field("Step", f"{step.title} ({mark.value})"),
            Field("Why", step.why, "muted"),
            Field("Seen", step.seen),
            Field(would, "\n".join(step.would) if not step.done else "", "accent"),
            Field("Needs", ", ".join(titles), "muted"),
        ),
    )
