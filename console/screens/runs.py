"""Runs that have ended: found by what they were, told in full, run again, written to a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message

from console.actions import bindings
from console.outcomes import outcome
from console.quantities import UNKNOWN, count, duration_ms, size
from console.rights import REFUSED
from console.run_book import MAX_LOADED, RunBook, every_page
from console.run_export import export
from console.run_filter import FilterError, RunFilter, parse
from console.screens.export_form import ExportForm, ExportTo
from console.screens.list_screen import ListScreen
from console.screens.run_detail import RunDialog
from console.widgets.detail_pane import Detail, DetailPane, Field
from console.widgets.heading import Heading
from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.run_filter_field import RunFilterField
from console.widgets.stage_bar import StageBar
from engine.api import EngineApi
from engine.models import RunEntry, RunRequest, Timings

OLDER = "older"
_PAUSE_S = 0.3
_NO_RUNS = ("Nothing has run here yet.", "5 goes to the scratchpad, where ^r runs code.")
_NONE_FITS = ("No run fits the filter.", "esc shows all.")


class RunTable(LineTable):
    """A table whose filter is the engine's affair."""

    class NarrowWanted(Message):
        """The operator pressed the filter key."""

    class AllWanted(Message):
        """The operator wants to see all runs."""

    def action_filter(self) -> None:
        self.post_message(self.NarrowWanted())

    def action_clear_filter(self) -> None:
        self.post_message(self.AllWanted())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return True if action == "clear_filter" else super().check_action(action, parameters)


class RunsScreen(ListScreen[RunEntry]):
    """Runs that end meanwhile appear at the top; coming to the last row loads older ones."""

    MODE = "runs"
    BINDINGS: ClassVar = bindings("runs")
    CSS_PATH = "../styles/runs.tcss"
    HEADING = "Runs"
    COLUMNS = (
        Column("TIME (UTC)", 14),
        Column("LANGUAGE", 10, most=16),
        Column("OUTCOME", 17),
        Column("EXIT", 4, right=True, priority=6),
        Column("TOTAL", 8, right=True, priority=8),
        Column("BOOT", 8, priority=5),
        Column("RESTORE", 8, right=True, priority=3),
        Column("MEMORY", 8, right=True, priority=2),
        Column("CALLER", 7, priority=7),
        Column("TRACE", 16, priority=4),
    )
    EMPTY = _NO_RUNS
    NEEDS_ROW = frozenset(("detail", "rerun", "export"))

    def __init__(self) -> None:
        super().__init__()
        self._filter = RunFilter()
        self._problem = ""
        self._book = RunBook(self._filter.query)
        self._rows: dict[str, Row] = {}

    def compose_body(self) -> ComposeResult:
        yield Heading(self.HEADING, id="list-heading")
        yield RunFilterField()
        with Horizontal(id="list-body"):
            yield RunTable(self.COLUMNS, empty=("…",))
            with VerticalScroll(id="side", can_focus=False):
                yield DetailPane()
                yield StageBar()

    def on_mount(self) -> None:
        self._pause = self.set_interval(_PAUSE_S, self._apply_filter, pause=True)

    # --- data

    async def fetch(self, api: EngineApi) -> Sequence[RunEntry]:
        book = self._book
        await book.refresh(api)
        return book.entries if book is self._book else self._book.entries

    async def _load_older(self) -> None:
        book = self._book
        await book.older(await self.app.connection.opened())
        if book is self._book:
            self.show_items(book.entries)

    def show_items(self, items: Sequence[RunEntry]) -> None:
        if len(self._rows) > 2 * MAX_LOADED:  # a console stays open for weeks
            self._rows = {}
        super().show_items(items)

    def empty_words(self) -> Sequence[str]:
        return _NONE_FITS if self._filter.text and not self.refused else super().empty_words()

    def key_of(self, item: RunEntry) -> str:
        return str(item.id)

    def row_of(self, item: RunEntry) -> Row:
        """A past run does not change, and there may be thousands."""
        key = self.key_of(item)
        if key not in self._rows:
            self._rows[key] = run_row(key, item)
        return self._rows[key]

    def note_of(self, items: Sequence[RunEntry]) -> str:
        if not items:
            return ""
        more = "" if self._book.complete else ", a filter finds more" if self._book.full else " and older"
        return f"{count(len(items), 'run')}{more}"

    def show_note(self) -> None:
        heading = self.query_one("#list-heading", Heading)
        if self.refused:
            heading.show(REFUSED)
        elif self._problem:
            heading.show(f"✗ {self._problem}", "error")
        elif self._filter.text:
            heading.show(f"{self._found(len(self.table.keys))} '{self._filter.text}', esc shows all", "accent")
        else:
            heading.show(self.note_of(self._book.entries))

    def _found(self, shown: int) -> str:
        """How many match. ``key:value`` is looked for by the engine, in all runs; plain words in what is loaded."""
        if self._book.complete:
            return f"{shown} match"
        if not self._filter.words:
            return f"{shown}+ match"
        return f"{shown} of the {len(self._book.entries)} loaded match"

    def detail_of(self, item: RunEntry) -> Detail:
        return Detail(f"Run {item.trace_id}", run_fields(item))

    def show_detail(self) -> None:
        super().show_detail()
        self.query_one("#side StageBar", StageBar).result = self.current

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        # Textual calls the base's handler by itself.
        keys = self.table.keys
        if keys and event.key == keys[-1] and not self._book.complete and len(self._book.entries) < MAX_LOADED:
            self.run_worker(self._load_older(), group=OLDER, exclusive=True, exit_on_error=False)

    # --- filter

    def on_run_table_narrow_wanted(self) -> None:
        self.action_filter()

    def action_filter(self) -> None:
        self.query_one(RunFilterField).open()

    def filter_by(self, words: str) -> None:
        self.query_one(RunFilterField).value = words
        self._apply_filter()

    def on_run_filter_field_edited(self) -> None:
        """What is typed counts after a pause: half a word finds nothing, and each answer repaints the list."""
        self._pause.reset()
        self._pause.resume()

    def on_run_filter_field_left(self) -> None:
        self._apply_filter()
        if not self._problem:
            self.query_one(RunFilterField).display = False
            self.table.focus()

    def _apply_filter(self) -> None:
        self._pause.pause()
        try:
            wanted = parse(self.query_one(RunFilterField).value, self.app.now())
        except FilterError as error:
            self._problem = str(error)
        else:
            self._problem = ""
            self._use(wanted)
        self.show_note()

    def on_run_table_all_wanted(self) -> None:
        self.query_one(RunFilterField).value = ""
        self._apply_filter()

    def _use(self, wanted: RunFilter) -> None:
        asked_before, self._filter = self._filter, wanted
        if wanted.query != asked_before.query:
            self._book = RunBook(wanted.query)
            self.action_refresh_now()
        self.table.set_empty(self.empty_words())
        if wanted.words != asked_before.words:
            self.table.filter = " ".join(wanted.words)

    # --- actions

    def action_detail(self) -> None:
        if (entry := self.current) is not None:
            self.app.push_screen(RunDialog(self.detail_of(entry), entry))

    def action_rerun(self) -> None:
        if (entry := self.current) is not None:
            late = f"What run {entry.trace_id} did is known now: o asks again."
            self.ask_here(self._request(entry.trace_id), self.app.open_in_scratchpad, "rerun", late=late)

    async def _request(self, trace_id: str) -> RunRequest:
        api = await self.app.connection.opened()
        return await api.run_request(trace_id)

    def action_export(self) -> None:
        what = f"runs that match '{self._filter.text}'" if self._filter.text else "all runs"

        def answered(to: ExportTo | None) -> None:
            if to is not None:
                self.ask(self._export(to, self._filter), "export")

        self.app.push_screen(ExportForm(what, f"vmdeck-runs-{self.app.now():%Y%m%d-%H%M%S}"), answered)

    async def _export(self, to: ExportTo, chosen: RunFilter) -> None:
        api = await self.app.connection.opened()
        written = await export(_shown(api, chosen), to.path, overwrite=to.overwrite)
        self.app.tell(f"{count(written, 'run')} written to {to.path}")


async def _shown(api: EngineApi, chosen: RunFilter) -> AsyncGenerator[Sequence[RunEntry]]:
    """All that the filter shows: those that the list has not loaded too."""
    async for page in every_page(api, chosen.query):
        yield [entry for entry in page if run_row("", entry).contains(chosen.words)]


def run_row(key: str, entry: RunEntry) -> Row:
    timings = entry.timings
    return Row(
        key,
        (
            Cell(f"{entry.at:%m-%d %H:%M:%S}", "muted"),
            Cell(entry.language),
            outcome(entry.outcome).cell,
            Cell(UNKNOWN if entry.exit_code is None else str(entry.exit_code)),
            Cell(duration_ms(timings.total) if timings else UNKNOWN),
            Cell(entry.boot or UNKNOWN),
            Cell(duration_ms(timings.restore) if timings and entry.boot != "cold" else UNKNOWN, "muted"),
            Cell(size(entry.peak_memory_bytes) if timings else UNKNOWN, "muted"),
            Cell(entry.caller),
            Cell(entry.trace_id, "muted"),
        ),
    )


def run_fields(entry: RunEntry) -> tuple[Field, ...]:
    look = outcome(entry.outcome)
    exit_code = "" if entry.exit_code is None else f", exit code {entry.exit_code}"
    return (
        Field("Run", entry.trace_id),
        Field("Language", entry.language),
        Field("Outcome", f"{look.text}{exit_code}", look.role),
        Field("Error", entry.error or "", "error"),
        Field("Ended", f"{entry.at:%Y-%m-%d %H:%M:%S} UTC"),
        Field("Caller", entry.caller),
        Field("Boot", entry.boot or ""),
        Field("Snapshot", entry.snapshot or ""),
        Field("Image", entry.image or ""),
        Field("VM", " ".join(filter(None, (entry.vm_id, entry.vmm)))),
        Field("Input", f"{size(entry.code_bytes)} code, {size(entry.stdin_bytes)} stdin"),
        *(_figures(entry, entry.timings) if entry.timings else ()),
    )


def _figures(entry: RunEntry, timings: Timings) -> tuple[Field, ...]:
    boot = "boot" if entry.boot == "cold" else "restore"
    stages = (("queue", timings.queue), (boot, timings.restore), ("resync", timings.resync), ("run", timings.exec))
    first = timings.first_output
    return (
        Field("Output", f"{size(entry.stdout_bytes)} stdout, {size(entry.stderr_bytes)} stderr"),
        Field("Used", f"{duration_ms(entry.cpu_ms)} CPU, {size(entry.peak_memory_bytes)} memory at most"),
        Field("Stages", ", ".join(f"{name} {duration_ms(milliseconds)}" for name, milliseconds in stages)),
        Field("Total", duration_ms(timings.total)),
        Field("First output", "" if first is None else f"after {duration_ms(first)}"),
    )
