"""What came of a buffer's last run: its output, status, stages and usage, or a table where there were several runs."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from console.live_run import LiveRun, Phase
from console.outcome import Kind, Outcome
from console.output_log import OutputLog
from console.plain import brief
from console.quantities import age, count, duration_ms, size
from console.scratch.endings import full_ending
from console.widgets.cut_lines import CutLines
from console.widgets.filter_field import FilterField
from console.widgets.heading import Heading
from console.widgets.output_view import OutputView
from console.widgets.series_table import SeriesTable
from console.widgets.stage_bar import StageBar

_HINTS = {
    Phase.IDLE: "^r runs the code in a microVM of its own",
    Phase.GOING: "no output yet",
    Phase.CANCELLING: "no output",
    Phase.ENDED: "no output",
}
_TITLES: dict[Kind, str] = {"run": "Output", "batch": "Batch", "compare": "Boot modes"}


class OutcomePane(Container):
    """``show`` is called a few times a second while code runs; it costs nothing on the wire where nothing changed."""

    def compose(self) -> ComposeResult:
        yield Heading("Output")
        yield OutputView(OutputLog(), hint=_HINTS[Phase.IDLE])
        yield StageBar()
        yield FilterField()
        yield SeriesTable("batch")
        yield SeriesTable("compare")
        yield CutLines(id="usage")

    def on_mount(self) -> None:
        self._outcome: Outcome | None = None
        batch, compare = self.query(SeriesTable)
        self._tables: dict[Kind, SeriesTable] = {"batch": batch, "compare": compare}
        self._lay_out("run")

    @property
    def keys(self) -> Widget:
        """What takes the keys here."""
        kind = self._outcome.kind if self._outcome else "run"
        return self._tables.get(kind) or self.query_one(OutputView)

    def show(self, outcome: Outcome | None) -> None:
        if outcome is not self._outcome:
            self._change(outcome)
        if outcome is None:
            self._head("", "muted")
            self.query_one("#usage", CutLines).show()
        elif outcome.kind == "run":
            self._show_run(outcome)
        else:
            self._show_series(outcome)

    def say(self, words: str, role: str) -> None:
        """A word on what was asked for, in the heading until the next ``show``."""
        self._head(words, role)

    def _change(self, outcome: Outcome | None) -> None:
        self._outcome = outcome
        self._lay_out(outcome.kind if outcome else "run")
        self.query_one(StageBar).result = None
        single = outcome is not None and outcome.kind == "run"
        log = outcome.runs[0].log if outcome is not None and single else OutputLog()
        self.query_one(OutputView).show(log, _HINTS[outcome.phase if outcome else Phase.IDLE])

    def _lay_out(self, kind: Kind) -> None:
        had_keys = self.has_focus_within
        self.query_one(Heading).title = _TITLES[kind]
        for name, table in self._tables.items():
            table.display = name == kind
        for widget in (self.query_one(OutputView), self.query_one(StageBar)):
            widget.display = kind == "run"
        if had_keys:
            self.keys.focus()

    def _head(self, words: str, role: str) -> None:
        self.query_one(Heading).show(words, role)

    # --- one run

    def _show_run(self, outcome: Outcome) -> None:
        run = outcome.runs[0]
        view = self.query_one(OutputView)
        view.say(_HINTS[outcome.phase])
        view.flush()
        if outcome.phase is Phase.CANCELLING:
            self._head("… cancelling", "warning")
        elif outcome.busy:
            self._head(f"◐ {run.stage or 'sent'}  {age(outcome.elapsed_s)}", "accent")
        else:
            self._head(*full_ending(run))
        self.query_one(StageBar).result = run.result
        self.query_one("#usage", CutLines).show(*_usage(run))

    # --- several

    def _show_series(self, outcome: Outcome) -> None:
        self._tables[outcome.kind].show(outcome)
        ended = sum(run.phase is Phase.ENDED for run in outcome.runs)
        of = f"{ended} of {count(len(outcome.runs), 'run')}"
        if outcome.phase is Phase.CANCELLING:
            self._head("… cancelling", "warning")
        elif outcome.busy:
            self._head(f"◐ {of}  {age(outcome.elapsed_s)}", "accent")
        else:
            good = sum(run.result is not None and run.result.status == "success" for run in outcome.runs)
            every = good == len(outcome.runs)
            sign = "✓" if every else "✗"
            words = f"{sign} {good} of {len(outcome.runs)} with success  {age(outcome.elapsed_s)}"
            self._head(words, "success" if every else "warning")
        self.query_one("#usage", CutLines).show(Content.styled(" enter shows the output of a run", "$muted"))


def _usage(run: LiveRun) -> tuple[Content, ...]:
    result = run.result
    if result is None:
        return ()
    cut = [name for name in ("stdout", "stderr") if getattr(result.truncated, name)]
    warm = f" ({brief(result.boot_reason)})" if result.boot_reason else ""
    line = Content.assemble(
        (f" {' and '.join(cut)} cut at the limit " if cut else "", "bold $warning"),
        (" cpu ", "$muted"),
        duration_ms(result.usage.cpu_ms),
        ("  peak memory ", "$muted"),
        size(result.usage.peak_memory_bytes),
        ("  boot ", "$muted"),
        f"{result.boot}{warm}",
        ("  VM ", "$muted"),
        brief(f"{result.vm.id} {result.vm.vmm}"),
    )
    return (line,)
