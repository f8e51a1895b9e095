"""The plan: every step, why it is there, what was seen, and the exact commands that applying it would run."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from console.setup_panes.pane import SetupPane, SetupView
from console.setup_panes.step_table import StepTable, step_detail
from console.setup_walk import Walk
from console.widgets.detail_pane import DetailPane
from engine.models import SetupOptions, SetupStep


class PlanPane(SetupPane):
    def compose(self) -> ComposeResult:
        yield StepTable()
        with VerticalScroll(classes="below", can_focus=False):
            yield DetailPane()

    def on_mount(self) -> None:
        self.add_class("-split")
        self._walk = Walk()

    def show(self, view: SetupView) -> None:
        self._walk = view.walk
        table = self.query_one(StepTable)
        first = not table.keys
        table.show(view.walk, view.walk.steps or ())
        if first and view.walk.chosen:
            table.move_cursor(view.walk.chosen[0].id)
        self._show_detail()

    def note(self, walk: Walk) -> tuple[str, str]:
        return ", ".join(_notes(walk)), "foreground"

    @property
    def current(self) -> SetupStep | None:
        """The step under the cursor."""
        return self._walk.step(self.query_one(StepTable).cursor or "")

    def on_line_table_highlighted(self) -> None:
        self._show_detail()

    def _show_detail(self) -> None:
        step = self.current
        self.query_one(DetailPane).show(None if step is None else step_detail(self._walk, step))


def _notes(walk: Walk) -> Iterator[str]:
    if walk.steps is None:
        return
    yield f"{len(walk.chosen)} to do" if walk.chosen else "nothing to do"
    if left_out := sum(walk.is_left_out(step) for step in walk.steps):
        yield f"{left_out} left out"
    defaults = SetupOptions()
    for name in SetupOptions.model_fields:
        value = getattr(walk.options, name)
        if name != "skip" and value != getattr(defaults, name):
            yield f"{name} {value}"
