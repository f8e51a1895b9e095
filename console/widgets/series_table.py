"""Several runs of one snippet as a table: the items of a batch, or one row per boot mode to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual.message import Message

from console.actions import SERIES, bindings
from console.live_run import LiveRun
from console.outcome import Outcome
from console.quantities import UNKNOWN, duration_ms
from console.scratch.endings import ending
from console.states import cell_role
from console.widgets.line_table import Cell, Column, LineTable, Row

_FIRST_CHARS = 200


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column and what it says of one run; ``text`` gets the outcome and the index of the run."""

    column: Column
    text: Callable[[Outcome, int], Cell]


def _run(outcome: Outcome, index: int) -> LiveRun:
    return outcome.runs[index]


def _label(outcome: Outcome, index: int) -> Cell:
    return Cell(_run(outcome, index).label)


def _status(outcome: Outcome, index: int) -> Cell:
    words, role = ending(_run(outcome, index))
    return Cell(words, cell_role(role))


def _exit(outcome: Outcome, index: int) -> Cell:
    result = _run(outcome, index).result
    return Cell(str(result.exit_code) if result else UNKNOWN)


def _stage(name: str) -> Callable[[Outcome, int], Cell]:
    def text(outcome: Outcome, index: int) -> Cell:
        result = _run(outcome, index).result
        return Cell(duration_ms(getattr(result.timings, name)) if result else UNKNOWN)

    return text


def _input(outcome: Outcome, index: int) -> Cell:
    stdin = outcome.request.stdin
    text = stdin[index] if isinstance(stdin, tuple) else stdin or ""
    return Cell(_first_line(text), "muted")


def _output(outcome: Outcome, index: int) -> Cell:
    lines = _run(outcome, index).log.lines
    return Cell(lines[0].text[:_FIRST_CHARS] if lines else "")


def _same(outcome: Outcome, index: int) -> Cell:
    """Whether both streams and the exit code are those of the first run."""
    first, run = outcome.runs[0], _run(outcome, index)
    if index == 0 or first.result is None or run.result is None:
        return Cell(UNKNOWN, "muted")
    same = (first.digest, first.result.exit_code) == (run.digest, run.result.exit_code)
    return Cell("same", "ok") if same else Cell("differs", "warning")


_BATCH = (
    _Shown(Column("item", 4, right=True), _label),
    _Shown(Column("status", 18), _status),
    _Shown(Column("exit", 4, right=True), _exit),
    _Shown(Column("time", 9, right=True), _stage("total")),
    _Shown(Column("input", 16, priority=3, most=40), _input),
    _Shown(Column("output", 0), _output),
)
_COMPARE = (
    _Shown(Column("mode", 8), _label),
    _Shown(Column("status", 12, most=40), _status),
    _Shown(Column("queue", 7, right=True, priority=3), _stage("queue")),
    _Shown(Column("start", 7, right=True), _stage("restore")),
    _Shown(Column("resync", 7, right=True), _stage("resync")),
    _Shown(Column("run", 7, right=True), _stage("exec")),
    _Shown(Column("total", 7, right=True), _stage("total")),
    _Shown(Column("output", 7), _same),
)
_TABLES = {"batch": _BATCH, "compare": _COMPARE}


class SeriesTable(LineTable):
    """enter shows the output of the run under the cursor."""

    BINDINGS: ClassVar = bindings(SERIES)

    class OutputWanted(Message):
        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, kind: str) -> None:
        self._shown = _TABLES[kind]
        super().__init__([shown.column for shown in self._shown])

    def show(self, outcome: Outcome) -> None:
        self.set_rows(
            [
                Row(str(index), tuple(shown.text(outcome, index) for shown in self._shown))
                for index in range(len(outcome.runs))
            ]
        )

    def action_show_output(self) -> None:
        if self.cursor is not None:
            self.post_message(self.OutputWanted(int(self.cursor)))

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        event.stop()
        self.action_show_output()


def _first_line(text: str) -> str:
    line = text[:_FIRST_CHARS].partition("\n")[0]
    return f"{line} …" if len(line) < len(text.rstrip("\n")) else line
