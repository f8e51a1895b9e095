"""Write code, run it in a microVM, watch its output, see where the time went."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import TextArea
from textual.worker import Worker, WorkerState

from console.actions import LISTS, Action, bindings
from console.live_run import Phase
from console.outcome import Outcome
from console.plain import brief
from console.preferences import keeps_scratch_history
from console.scratch.autosave import Autosave
from console.scratch.buffer import Buffer
from console.scratch.buffer_store import BufferStore
from console.scratch.desk import MAX_BUFFERS, Desk
from console.scratch.form import FieldError, buffer_of, request_of, set_words
from console.scratch.history import ScratchHistory
from console.scratch.past import PastEntry
from console.scratch.state_folder import scratch_home
from console.screens.mode_screen import ModeScreen
from console.screens.output_dialog import OutputDialog
from console.screens.scratch_dialogs import ScratchDialogs
from console.widgets.buffer_line import BufferLine
from console.widgets.code_editor import MAX_CHARS, CodeEditor, syntax_of
from console.widgets.file_tabs import FileTabs
from console.widgets.outcome_pane import OutcomePane
from console.widgets.request_form import RequestForm
from console.widgets.series_table import SeriesTable
from engine.api import EngineApi
from engine.errors import VmdeckError
from engine.models import Language, RunRequest

DRAW_EVERY_S = 0.25
RUN = "run"
_FORM = "-form"


class ScratchpadScreen(ScratchDialogs, ModeScreen):
    """A run goes on when another buffer or area is shown; only cancelling or leaving the console ends it."""

    MODE = "scratchpad"
    CSS_PATH = "../styles/scratchpad.tcss"
    BINDINGS: ClassVar = bindings("scratchpad")
    AUTO_FOCUS = "CodeEditor"

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.languages: dict[str, Language] = {}
        home = scratch_home()
        self.past = ScratchHistory(home / "history")
        self._store = BufferStore(home / "buffers")
        self._restored = asyncio.Event()

    def compose_body(self) -> ComposeResult:
        with Container(id="scratch"):
            with Container(id="source"):
                yield BufferLine()
                yield FileTabs()
                with Container(id="work"):
                    yield CodeEditor(id="code")
                    yield RequestForm()
            yield OutcomePane()

    # Textual calls the handlers of base classes too, so none here calls its like there.

    def on_mount(self) -> None:
        self.app.ending_with_it["the run in the scratchpad, and its VM"] = lambda: self.desk.busy
        self.editor = self.query_one(CodeEditor)
        self.form = self.query_one(RequestForm)
        self.outcome_pane = self.query_one(OutcomePane)
        self._autosave = Autosave(self._store, before=self.take_up, wanted=self.worth_keeping, failed=self.show_failure)
        self._draw_timer = self.set_interval(DRAW_EVERY_S, self.draw, pause=True)
        self.show_buffer()
        self.run_worker(self._restore(), exit_on_error=False)

    # --- buffers

    async def _restore(self) -> None:
        """Take up the buffers of earlier times; what was typed meanwhile stays."""
        try:
            buffers, broken = await asyncio.to_thread(self._store.adopt, MAX_BUFFERS)
        except VmdeckError as error:
            self._autosave.tell(error)
        else:
            self.take_up()
            if buffers and self.worth_keeping(self.desk.current):
                buffers = [*buffers[: MAX_BUFFERS - 1], self.desk.current]
            self.desk.fill(buffers)
            self.show_buffer()
            for file in broken:
                self.app.tell(f"Buffer {file}", failed=True)
        self._restored.set()

    async def on_unmount(self) -> None:
        await self._autosave.flush()
        self._store.release()

    def worth_keeping(self, buffer: Buffer) -> bool:
        return not buffer.untouched(self.languages.get(buffer.language))

    def take_up(self) -> None:
        """Bring the buffer up to date with the editor."""
        file = self.desk.current.file
        file.text = self.editor.text
        file.cursor = self.editor.cursor_location

    def changed(self) -> None:
        """Something of the current buffer is not on disk any more."""
        self._autosave.changed(self.desk.current)

    def forget(self, buffer: Buffer) -> None:
        """It was closed."""
        self._autosave.closed(buffer)

    def show_buffer(self) -> None:
        """Show the current buffer from its state: editor, files, form, outcome."""
        buffer = self.desk.current
        self._adopt_language(buffer)
        with self.prevent(TextArea.Changed, TextArea.SelectionChanged):
            file = buffer.file
            self.editor.open(file.text, file.cursor, syntax_of(file.path, self.language))
        self.form.show(buffer)
        self._show_head()
        self.draw()

    def add_buffer(self, buffer: Buffer, outcome: Outcome | None = None) -> None:
        """Open and show it, in the place of an untouched one. Raises ConflictError where there are too many."""
        self.take_up()
        before = self.desk.current
        if not self.worth_keeping(before) and self.desk.outcome is None and self.worth_keeping(buffer):
            self.forget(self.desk.replace(buffer))
        else:
            self.desk.add(buffer)
        if outcome is not None:
            self.desk.outcomes[buffer.id] = outcome
        self.show_buffer()
        self.changed()

    async def open_request(self, request: RunRequest) -> None:
        """Open a request in a buffer of its own. Raises ConflictError where too many are open."""
        await self._restored.wait()
        self.add_buffer(buffer_of(request))

    def show_file(self, index: int) -> None:
        buffer = self.desk.current
        if index != buffer.at:
            self.take_up()
        buffer.at = index % len(buffer.files)
        self.show_buffer()
        self.changed()

    def _show_head(self) -> None:
        buffer = self.desk.current
        names = [file.path or (self.language.file_name if self.language else "code") for file in buffer.files]
        self.query_one(FileTabs).show(names, buffer.at)
        place = (self.desk.number, len(self.desk.buffers))
        self.query_one(BufferLine).show(self.language, buffer.language, place, set_words(buffer))

    # --- languages

    @property
    def language(self) -> Language | None:
        """Of the current buffer, where the engine knows it."""
        return self.languages.get(self.desk.current.language)

    async def poll(self, api: EngineApi) -> None:
        languages = await api.languages()
        new = not self.languages
        self.languages = {name: language for language in languages for name in (language.id, *language.aliases)}
        if new:
            self.take_up()
            self.show_buffer()
        else:
            self._show_head()

    def _adopt_language(self, buffer: Buffer) -> None:
        """A buffer that has none yet takes the first that can run, with its example."""
        if not buffer.language and self.languages:
            every = list(self.languages.values())
            self.use_language(buffer, next((language for language in every if language.ready), every[0]))

    def use_language(self, buffer: Buffer, language: Language) -> None:
        """Take a language; code that still is an untouched example becomes the new one's."""
        before = self.languages.get(buffer.language)
        if not buffer.main.text.strip() or (before is not None and buffer.main.text == before.example):
            buffer.main.text = language.example
            buffer.main.cursor = (0, 0)
        buffer.language = language.id

    def action_insert_example(self) -> None:
        if self.language is not None:
            self.editor.replace_all(self.language.example)

    # --- running

    def request(self, *, batch: bool = False) -> RunRequest | None:
        """What the buffer says; None where that makes no request, which is told at the field."""
        self.take_up()
        self.form.clear_problem()
        try:
            return request_of(self.desk.current, batch=batch)
        except FieldError as error:
            self.show_problem(error)
            return None

    def show_problem(self, error: FieldError) -> None:
        if self.form.has_field(error.field):
            self.set_class(True, _FORM)
            self.form.show_problem(error.field, error.message)
        elif error.index is not None:
            self.show_file(error.index + 1)  # the code itself is file 0
            self.outcome_pane.say(f"✗ this file: {brief(error.message)}", "error")
        else:
            self.outcome_pane.say(f"✗ {error.field}: {brief(error.message)}", "error")

    def action_run(self) -> None:
        if (request := self.request()) is not None:
            self.start(Outcome.single(request))

    def action_compare(self) -> None:
        if (request := self.request()) is not None:
            self.start(Outcome.comparison(request))

    def start(self, outcome: Outcome) -> None:
        """Run it for the current buffer."""
        buffer = self.desk.current
        self.run_worker(self._run(buffer, outcome), group=f"{RUN} {buffer.id}", exclusive=True, exit_on_error=False)

    async def _run(self, buffer: Buffer, outcome: Outcome) -> None:
        api = await self.app.connection.opened()
        self.desk.outcomes[buffer.id] = outcome
        self._draw_timer.resume()
        self.call_later(self.draw)
        try:
            await outcome.follow(api)
        finally:
            if keeps_scratch_history():
                self.run_worker(self._keep(PastEntry.of(outcome, self.app.now())), exit_on_error=False)

    async def _keep(self, entry: PastEntry) -> None:
        try:
            await asyncio.to_thread(self.past.add, entry)
        except VmdeckError as error:
            self.app.tell(f"{error} {error.remedy}", failed=True)

    def action_cancel_run(self) -> None:
        outcome = self.desk.outcome
        if outcome is not None and outcome.busy:
            outcome.phase = Phase.CANCELLING
            self.draw()
            self.workers.cancel_group(self, f"{RUN} {self.desk.current.id}")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        ended = event.state in (WorkerState.SUCCESS, WorkerState.ERROR, WorkerState.CANCELLED)
        if ended and event.worker.group.startswith(f"{RUN} "):
            if not self.desk.busy:
                self._draw_timer.pause()
            self.draw()

    def draw(self) -> None:
        """Bring the outcome up to date."""
        outcome = self.desk.outcome
        if outcome is not None and outcome.busy and self.app.output_queued:
            return
        self.outcome_pane.show(outcome)
        self.update_actions()

    # --- what widgets say

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        self.changed()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        if event.text_area is self.editor:
            self.changed()

    def on_code_editor_refused(self, event: CodeEditor.Refused) -> None:
        self.app.tell(f"Not pasted: {event.chars:,} characters in all, over {MAX_CHARS:,}.", failed=True)

    def on_request_form_changed(self) -> None:
        self._show_head()
        self.changed()

    def on_file_tabs_chosen(self, event: FileTabs.Chosen) -> None:
        self.show_file(event.index)

    def on_buffer_line_language_wanted(self) -> None:
        self.action_choose_language()

    def on_buffer_line_form_wanted(self) -> None:
        self.action_form()

    def on_series_table_output_wanted(self, event: SeriesTable.OutputWanted) -> None:
        if (outcome := self.desk.outcome) is not None:
            run = outcome.runs[event.index]
            self.app.push_screen(OutputDialog(f"Output of {run.label}", run))

    # --- keys

    def action_leave_field(self) -> None:
        self.outcome_pane.keys.focus()

    def action_edit(self) -> None:
        self.set_class(False, _FORM)
        self.editor.focus()

    def action_form(self) -> None:
        """Show the form and go there; from the form itself, which only the mouse can ask for, back to the code."""
        if self.has_class(_FORM) and self.form.has_focus_within:
            self.action_edit()
            return
        self.set_class(True, _FORM)
        self.form.focus_field()

    def bar_actions(self) -> list[Action]:
        lists = isinstance(self.outcome_pane.keys, SeriesTable)
        return [action for action in super().bar_actions() if lists or action.where != LISTS]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        if not allowed:
            return allowed
        outcome = self.desk.outcome
        if action == "cancel_run":
            return True if outcome is not None and outcome.phase is Phase.GOING else None
        if action in ("run", "compare", "batch"):
            return None if outcome is not None and outcome.busy else True
        if action in ("leave_field", "edit"):
            return self.typing is (action == "leave_field")
        return allowed
