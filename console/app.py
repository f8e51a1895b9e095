"""The console's app: its areas, what they share, and the actions that work everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from textual.app import App
from textual.driver import Driver
from textual.filter import LineFilter, NoColor
from textual.worker import Worker, WorkerState

from console import preferences, themes
from console.actions import DIALOGS, EVERYWHERE, LISTS, OUTPUT, actions, bindings
from console.ascii import AsciiFilter
from console.connection import Connection, ConnectionState
from console.driver import ConsoleDriver
from console.failure import Failure
from console.history import History
from console.live_run import LiveRun
from console.modes import MODES
from console.plain import brief
from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from console.screens.dialog import Dialog
from console.screens.help import HelpDialog
from console.screens.mode_screen import ModeScreen
from console.screens.picker import Choice, PickerDialog
from console.setup_walk import leads_in
from console.terminal import Terminal
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import LineTable
from console.widgets.output_view import OutputView
from console.widgets.too_small import NEEDED_COLUMNS, NEEDED_ROWS
from engine.errors import VmdeckError
from engine.models import Health, Job, JobState

TICK_S = 2.0
_LOOK_AGAIN_S = 0.05
_ASK_JOBS_S = 1.0


class ConsoleApp(App[int]):
    """The app over one ``Connection``, which its creator owns and closes."""

    TITLE = "vmdeck"
    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = bindings(EVERYWHERE)
    DEFAULT_MODE = MODES[0].name
    MODES: ClassVar = {mode.name: mode.open for mode in MODES}
    HORIZONTAL_BREAKPOINTS: ClassVar = [
        (0, "-tiny"),
        (NEEDED_COLUMNS, "-narrow"),
        (100, "-normal"),
        (130, "-broad"),
        (160, "-wide"),
    ]
    VERTICAL_BREAKPOINTS: ClassVar = [(0, "-low"), (NEEDED_ROWS, "-std"), (40, "-tall")]
    NOTIFICATION_TIMEOUT = 4

    def __init__(
        self,
        connection: Connection,
        *,
        terminal: Terminal = Terminal(),  # noqa: B008  a frozen value
        read_only: bool = False,
        tick_s: float = TICK_S,
    ) -> None:
        self.terminal = terminal
        self._own_filters: list[LineFilter] = []
        if terminal.no_colour:
            self._own_filters.append(NoColor())
        if terminal.ascii_only:
            self._own_filters.append(AsciiFilter())
        self.themes = themes.load()
        super().__init__()
        self.connection = connection
        self.read_only = read_only
        self.tick_s = tick_s
        self.history = History()
        self.last_health: Health | None = None
        self.live_run: LiveRun | None = None
        self._area_chosen = False
        self._mouse_on = not terminal.remote
        for file in self.themes.files.values():
            self.register_theme(themes.textual_theme(file))
        self.theme = (
            themes.WITHOUT_COLOUR
            if terminal.no_colour
            else self.themes.pick(preferences.chosen_theme(), themes.DEFAULT)
        )

    # --- start

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, lambda _theme: self._theme_editors())
        self.call_after_refresh(self._painted)

    def _painted(self) -> None:
        self.connection.start()
        for broken in self.themes.broken:
            self.tell(f"Theme file {broken.file} is not used: {broken.reason}", failed=True)

    def get_driver_class(self) -> type[Driver]:
        return ConsoleDriver

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self._own_filters]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.textual_theme(self.themes.files[themes.DEFAULT]).variables

    def now(self) -> datetime:
        return datetime.now(UTC)

    # --- output

    @property
    def output_queued(self) -> bool:
        """Whether the terminal has not swallowed what was painted so far."""
        return isinstance(self._driver, ConsoleDriver) and self._driver.output_queued

    async def output_sent(self) -> None:
        """Wait until a periodic repaint would not add to a backlog."""
        while self.output_queued:
            await asyncio.sleep(_LOOK_AGAIN_S)

    # --- what screens say

    def tell(self, message: str, *, failed: bool = False) -> None:
        """A short note in a corner, gone after some seconds."""
        self.notify(brief(message), severity="error" if failed else "information", markup=False)

    def show_failure(self, error: BaseException | Failure) -> None:
        """A dialog with what happened and what to do."""
        failure = error if isinstance(error, Failure) else Failure.of(error)
        self.push_screen(
            DetailDialog(
                Detail(failure.title, (Field("What", failure.message, "error"), Field("Remedy", failure.remedy)))
            )
        )

    def show_job(self, job: Job) -> None:
        """Go to the jobs, onto this one."""
        self.run_worker(self._show_job(job), exit_on_error=False)

    async def _show_job(self, job: Job) -> None:
        from console.screens.jobs import JobsScreen

        await self.switch_mode("jobs")
        if isinstance(self.screen, JobsScreen):
            self.screen.select(job.id)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.show_failure(event.worker.error)

    # --- actions that work everywhere

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "open_engine":
            return self.connection.state is ConnectionState.FAILED
        return super().check_action(action, parameters)

    def begin_with_setup(self, health: Health) -> None:
        """Once per start, before the operator chose an area: a host on which nothing can run begins with its setup."""
        if self._area_chosen:
            return
        self._area_chosen = leads_in(health) or health.checks is not None
        if leads_in(health):
            self.switch_mode("setup")

    def action_show_mode(self, mode: str) -> None:
        self._area_chosen = True
        if mode != self.current_mode:
            self.switch_mode(mode)

    def _neighbour(self, step: int) -> str:
        names = [mode.name for mode in MODES]
        return names[(names.index(self.current_mode) + step) % len(names)]

    def action_next_mode(self) -> None:
        self._leave_to(self._neighbour(1))

    def action_previous_mode(self) -> None:
        self._leave_to(self._neighbour(-1))

    def _leave_to(self, mode: str) -> None:
        # These keys have priority over fields, so they arrive over dialogs too, which must be answered first.
        if not isinstance(self.screen, Dialog):
            self._area_chosen = True
            self.switch_mode(mode)

    def action_open_engine(self) -> None:
        self.connection.start()
        if isinstance(self.screen, ModeScreen):
            self.screen.on_screen_resume()

    def action_help(self) -> None:
        if isinstance(self.screen, Dialog):
            return
        title = next(mode.title for mode in MODES if mode.name == self.current_mode)
        sections = [(title, self.current_mode)]
        if self.screen.query(LineTable):
            sections.append(("Lists", LISTS))
        if self.screen.query(OutputView):
            sections.append(("Output", OUTPUT))
        self.push_screen(HelpDialog([*sections, ("Everywhere", EVERYWHERE), ("Dialogs", DIALOGS)]))

    def action_palette(self) -> None:
        screen = self.screen
        if not isinstance(screen, ModeScreen):
            return
        found = [
            (action, target)
            for place, target in ((self.current_mode, "screen"), (EVERYWHERE, "app"))
            for action in actions(place)
            if (screen if target == "screen" else self).check_action(action.name, ())
        ]
        choices = [
            Choice(f"{target}.{action.call}", action.title, action.about, action.key) for action, target in found
        ]

        def answered(call: str | None) -> None:
            if call is not None:
                self.call_later(screen.run_action, call)

        self.push_screen(PickerDialog("Actions", choices), answered)

    def action_choose_theme(self) -> None:
        before = self.theme
        choices = [Choice(file.name, file.name, file.about) for file in self.themes.files.values()]

        def preview(name: str) -> None:
            self.theme = name

        def answered(name: str | None) -> None:
            self.theme = name or before
            if name is not None:
                self._remember_theme(name)

        self.push_screen(PickerDialog("Theme", choices, at=before, preview=preview), answered)

    def _remember_theme(self, name: str) -> None:
        try:
            preferences.choose_theme(name)
        except VmdeckError as error:
            self.show_failure(error)

    def _theme_editors(self) -> None:
        from console.widgets.code_editor import CodeEditor

        for screen in self.screen_stack:
            for editor in screen.query(CodeEditor):
                editor.use_theme(self.theme_file)

    @property
    def theme_file(self) -> themes.ThemeFile:
        return self.themes.files[self.theme]

    def action_toggle_mouse(self) -> None:
        self._mouse_on = not self._mouse_on
        if isinstance(self._driver, ConsoleDriver):
            self._driver.use_mouse(self._mouse_on)
        self.tell("The console has the mouse." if self._mouse_on else "The terminal has the mouse: select and copy.")

    def action_redraw(self) -> None:
        self.refresh(layout=True)
        self.screen.refresh(layout=True)

    # --- leaving

    async def action_quit(self) -> None:
        """Leave; asks first where that would end something. A second ctrl+q leaves at once."""
        if isinstance(self.screen, ConfirmDialog):
            self.exit(0)
            return
        self.run_worker(self._quit(), group="quit", exclusive=True, exit_on_error=False)

    async def _quit(self) -> None:
        going = await self._running_jobs()
        if self.live_run is not None and self.live_run.busy:
            going.insert(0, "  the run in the scratchpad")
        if not going:
            self.exit(0)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.exit(0)

        self.push_screen(ConfirmDialog("Quit?", "This ends:\n" + "\n".join(going), yes="Quit"), answered)

    async def _running_jobs(self) -> list[str]:
        """Titles of jobs that end with the engine; an engine that does not answer in time is not waited for."""
        api = self.connection.api
        if api is None:
            return []
        try:
            jobs = await asyncio.wait_for(api.jobs(), _ASK_JOBS_S)
        except (VmdeckError, TimeoutError):
            return []
        return [f"  {brief(job.title)}" for job in jobs if job.state is JobState.RUNNING]
