"""The end of the walk: what this host has now, what is still open, and where to go on."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from console.live_run import LiveRun
from console.outcomes import outcome
from console.quantities import duration_ms
from console.setup_panes.pane import SetupPane, SetupView
from console.setup_stages import Mark
from console.setup_walk import Walk
from console.widgets.detail_pane import Detail, DetailPane, Field
from engine.models import RunResult

_SHOWN = (Mark.DONE, Mark.TO_DO, Mark.FAILED, Mark.LEFT_OUT, Mark.HELD_UP)
_SIGNS = {Mark.DONE: ("✓", "foreground"), Mark.FAILED: ("✗", "error")}
_OPEN = ("○", "warning")


class DonePane(SetupPane):
    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield DetailPane()

    def show(self, view: SetupView) -> None:
        self.query_one(DetailPane).show(_summary(view.walk, view.run))


def _summary(walk: Walk, run: LiveRun) -> Detail:
    verdict = ("✓ Everything is ready.", "success") if walk.is_ready else ("! Not everything is there.", "warning")
    fields = [Field("This host", *verdict)]
    if run.result is not None:
        fields.append(Field("First run", _told(run.result)))
    fields.append(Field("", " "))
    for step in walk.steps or ():
        mark = walk.mark(step)
        if mark in _SHOWN:
            sign, role = _SIGNS.get(mark, _OPEN)
            fields.append(Field(sign, f"{step.title}: {step.seen if step.done else mark.value}", role))
    fields += [
        Field("", " "),
        Field("Go on", "Enter opens the scratchpad with the example in it.", "accent"),
        Field("", "8 comes back here, and U removes what setup made.", "muted"),
    ]
    return Detail("Done", tuple(fields))


def _told(result: RunResult) -> str:
    how = "from a cold boot" if result.boot == "cold" else "from its snapshot"
    ready, total = duration_ms(result.timings.restore), duration_ms(result.timings.total)
    return f"{outcome(result.status).word}, exit {result.exit_code}, in {total}: a VM {how} in {ready}"
