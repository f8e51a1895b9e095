"""The console's app: its areas, what they share, and the actions that work everywhere."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from rich.console import RenderableType
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.driver import Driver
from textual.filter import LineFilter, NoColor
from textual.geometry import Size
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from console import offered_actions
from console.actions import DIALOGS, EVERYWHERE, LISTS, MARKS, OUTPUT, SORTING, VM, Action, bindings
from console.ascii import AsciiFilter
from console.clipboard import MOST_BYTES, Clip
from console.connection import Connection, ConnectionState
from console.driver import ConsoleDriver
from console.failure import Failure
from console.key_order import KeyOrder
from console.leaving import Leaving
from console.modes import MODES
from console.painting import Painting
from console.plain import brief
from console.quantities import count
from console.rights import Rights
from console.screens.detail import DetailDialog
from console.screens.dialog import Dialog
from console.screens.help import HelpDialog
from console.screens.mode_screen import ModeScreen
from console.screens.palette import PaletteDialog
from console.screens.quit_dialog import QuitDialog
from console.stylesheet import ConsoleStylesheet
from console.terminal import Terminal
from console.theme_choice import ThemeChoice
from console.widgets.detail_pane import Detail, Field
from console.widgets.output_view import OutputView
from console.widgets.status_line import EnginePlace
from console.widgets.too_small import NEEDED_COLUMNS, NEEDED_ROWS

if TYPE_CHECKING:
    from engine.models import EngineIdentity, Health, Job, RunRequest

TICK_S = 2.0
CHECKS_EVERY_S = 30.0
"""How old what the host's checks found may become, whatever area is shown."""

_SERVES = {"daemon": "daemon", "console": "own engine", "command": ""}
_RESTARTED = "The engine was restarted: VMs and runs that it had are gone, jobs that were under way have failed."
_VIEWER = "Without its token this engine lets one look and run code, not change it. Set one there, and give it here."
_LOOK_AGAIN_S = 0.05
_USED_KEPT = 8
_HEADINGS = {VM: "VM", LISTS: "Lists", SORTING: "Order", MARKS: "Marks"}


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
        warnings: Sequence[str] = (),
        tick_s: float = TICK_S,
    ) -> None:
        self.terminal = terminal
        self._own_filters: list[LineFilter] = []
        if terminal.no_colour:
            self._own_filters.append(NoColor())
        if terminal.ascii_only:
            self._own_filters.append(AsciiFilter())
        self.theme_choice = ThemeChoice(self)
        super().__init__()
        self.stylesheet = ConsoleStylesheet(variables=self.get_css_variables())
        self.connection = connection
        connection.on_change = self._connection_changed
        self._asked_read_only = read_only
        self._warnings = tuple(warnings)
        self._known: EngineIdentity | None = None
        self.tick_s = tick_s
        self.host = socket.gethostname()
        self.farewell = ""
        self._modes_shown = ("", self.DEFAULT_MODE)
        self._used: list[str] = []
        self.last_health: Health | None = None
        self._checked: Health | None = None
        self._checks_due_at = 0.0
        self.ending_with_it: dict[str, Callable[[], bool]] = {}
        """What ends when the console does, in words, and whether it is under way."""
        self._area_chosen = False
        self._mouse_on = not terminal.remote
        self._painting = Painting()
        self.keys = KeyOrder(self, self._give_key, self._tell_dropped)
        self._terminal_size = Size(0, 0)
        self.theme_choice.begin()

    # --- start

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, lambda _theme: self.theme_choice.use_in_editors())
        self.mode_change_signal.subscribe(self, self._mode_changed)
        self.call_after_refresh(self._painted)

    def _painted(self) -> None:
        self.connection.start()
        for warning in self._warnings:
            self.tell(warning, failed=True)
        self.theme_choice.name_broken()

    def get_driver_class(self) -> type[Driver]:
        return ConsoleDriver

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self._own_filters]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return self.theme_choice.default_variables()

    def now(self) -> datetime:
        """By the engine's clock, whose times are what is shown."""
        return datetime.now(UTC) + self.connection.clock_ahead

    # --- the engine

    @property
    def rights(self) -> Rights:
        identity = self.connection.identity
        return Rights(self._asked_read_only, identity is not None and identity.role == "viewer")

    @property
    def place(self) -> EnginePlace:
        """Which engine the status line names."""
        right = self.rights.word
        identity = self.connection.identity
        if identity is None:
            return EnginePlace(right=right)
        host = "" if identity.host == self.host else identity.host
        return EnginePlace(host, _SERVES[identity.serves], right)

    def _connection_changed(self) -> None:
        if not self.is_running:
            return
        if self.connection.state is ConnectionState.OPEN:
            self._meet(self.connection.identity)
        for screen in self.screen_stack:  # a dialog, or a VM's detail, may lie over the area
            if isinstance(screen, ModeScreen) and screen.is_mounted:
                screen.show_connection()

    def _meet(self, identity: EngineIdentity | None) -> None:
        known, self._known = self._known, identity
        if identity is None:
            return
        if known is not None:
            self.tell("The engine is back." if known.id == identity.id else _RESTARTED)
        if identity.role == "viewer" and (known is None or known.role != "viewer"):
            self.tell(_VIEWER, failed=True)
        from importlib.metadata import version

        if known is None and identity.version != (own := version("vmdeck")):
            self.tell(f"The engine is version {identity.version}, this console {own}.", failed=True)

    # --- output

    @property
    def output_queued(self) -> bool:
        """Whether the terminal has not swallowed what was painted so far."""
        return isinstance(self._driver, ConsoleDriver) and self._driver.output_queued

    async def output_sent(self) -> None:
        """Wait until a periodic repaint would not add to a backlog."""
        while self.output_queued:
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        """Textual's own, with an update that holds only what the terminal does not show yet."""
        if isinstance(renderable, CompositorUpdate) and self._paints:
            renderable = self._painting.difference(renderable, self.console)
        super()._display(screen, renderable)

    @property
    def _paints(self) -> bool:
        """Whether Textual will write the next update, and not drop it."""
        return not (self._batch_count or self._closed or self.is_headless or self._driver is None) and self._running

    def on_resize(self, event: events.Resize) -> None:
        self._painting.forget()
        before, self._terminal_size = self._terminal_size, event.size
        if event.size == before:  # the process was stopped, and goes on in a terminal that others used meanwhile
            self.action_redraw()

    # --- input

    async def on_event(self, event: events.Event) -> None:
        """Textual's own, with keys held back until what the one before it opened is there."""
        if not isinstance(event, events.Key | events.Paste):
            await super().on_event(event)
        elif event.is_forwarded:
            await self._give_key(event)
        else:
            await self.keys.take(event)

    async def _give_key(self, event: events.Key | events.Paste) -> None:
        if self._screen_stack:  # else the console is closing, and Textual would fail on the key
            await super().on_event(event)

    def _tell_dropped(self, keys: int) -> None:
        self.tell(f"{count(keys, 'key')} typed ahead dropped: what they were for takes long to come.", failed=True)

    def open_screens(self) -> list[Screen[object]]:
        """Of all areas, what lies over them too; those out of sight as well."""
        return [screen for stack in self._screen_stacks.values() for screen in stack]

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
        self.show_row("jobs", job.id)

    def show_row(self, mode: str, key: str) -> None:
        """Go to the list of an area, onto one of its rows."""
        self.keys.follow(self.run_worker(self._show_row(mode, key), exit_on_error=False))

    async def _show_row(self, mode: str, key: str) -> None:
        from console.screens.list_screen import ListScreen

        area = await self.go_to(mode)
        if isinstance(area, ListScreen):
            area.select(key)

    async def go_to(self, mode: str) -> Screen[object]:
        """Show an area's own screen: what else of it lay over that is left. A dialog stays, to be answered."""
        if mode != self.current_mode:
            await self.switch_mode(mode)
        while isinstance(self.screen, ModeScreen) and self.screen.PLACE:
            await self.pop_screen()
        return self.screen

    def open_in_scratchpad(self, request: RunRequest) -> None:
        """Go to the scratchpad, with the request in a buffer of its own."""
        self.keys.follow(self.run_worker(self._open_in_scratchpad(request), exit_on_error=False))

    async def _open_in_scratchpad(self, request: RunRequest) -> None:
        from console.screens.scratchpad import ScratchpadScreen

        await self.switch_mode("scratchpad")
        if isinstance(self.screen, ScratchpadScreen):
            await self.screen.open_request(request)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.show_failure(event.worker.error)

    def copy(self, text: str, what: str) -> None:
        """Send text to the terminal's clipboard, since the operator asked for it; ``what`` names it: "the code"."""
        clip = Clip.of(text)
        size = len(clip.payload)
        if not clip.fits:
            self.tell(
                f"{what}: {size:,} bytes are more than terminals take ({MOST_BYTES:,}). Save to a file instead.",
                failed=True,
            )
            return
        if self._driver is not None:
            self._driver.write(clip.sequence)
        dropped = f", {count(clip.dropped, 'control character')} left out" if clip.dropped else ""
        self.tell(f"{what}: {size:,} bytes sent to the terminal (OSC 52){dropped}.{self._clipboard_hint()}")

    def _clipboard_hint(self) -> str:
        return " tmux passes it on only with: set -g set-clipboard on" if self.terminal.tmux else ""

    # --- what is known of the host

    @property
    def checks_due(self) -> bool:
        """Whether the next question after the engine's health is to be with the host's checks."""
        return time.monotonic() >= self._checks_due_at

    def check_again(self) -> None:
        """Ask for the checks with the next question."""
        self._checks_due_at = 0.0

    def take_health(self, health: Health) -> Health:
        """The newest health. One without checks can't tell a host that is degraded from one that is ready, so what
        they found last goes on to count."""
        if health.checks is not None:
            self._checked = health
            self._checks_due_at = time.monotonic() + CHECKS_EVERY_S
        elif self._checked is not None and health.status == "ok":
            health = health.model_copy(update={"status": self._checked.status})
        self.last_health = health
        return health

    # --- actions that work everywhere

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "open_engine":
            return self.connection.state in (ConnectionState.FAILED, ConnectionState.LOST)
        return super().check_action(action, parameters)

    def begin_with_setup(self, health: Health) -> None:
        """Once per start, before the operator chose an area: a host on which nothing can run begins with its setup."""
        if self._area_chosen or isinstance(self.screen, Dialog):  # which is answered first
            return
        from console.setup_walk import leads_in

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

    def action_help(self) -> None:
        if isinstance(self.screen, Dialog):
            return
        title = next(mode.title for mode in MODES if mode.name == self.current_mode)
        sections = [(title, self.current_mode)]
        if isinstance(self.screen, ModeScreen):
            sections = [(_HEADINGS.get(place, title), place) for place in (self.screen.place, *self.screen.list_places)]
        if self.screen.query(OutputView):
            sections.append(("Output", OUTPUT))
        self.push_screen(HelpDialog([*sections, ("Everywhere", EVERYWHERE), ("Dialogs", DIALOGS)]))

    def action_last_mode(self) -> None:
        if self._modes_shown[0]:
            self.switch_mode(self._modes_shown[0])

    def _mode_changed(self, mode: str) -> None:
        self._modes_shown = (self._modes_shown[1], mode)

    def action_palette(self) -> None:
        if not isinstance(self.screen, ModeScreen):
            return
        offered = {f"{action.where}.{action.call}": action for action in offered_actions.now(self, self.screen)}
        used = [key for key in self._used if key in offered]
        dialog = PaletteDialog([(key, offered[key]) for key in dict.fromkeys((*used, *offered))])

        def answered(key: str | None) -> None:
            if key:
                self._used = [key, *(other for other in self._used if other != key)][:_USED_KEPT]
                self.perform(offered[key])
            elif key is not None and dialog.jump is not None:
                self.jump(dialog.jump.mode.name, dialog.jump.words)

        self.push_screen(dialog, answered)

    def perform(self, action: Action) -> None:
        """What the action's key would do."""
        self.call_later(self.run_action, action.call, offered_actions.owner(self, action.where))

    def jump(self, mode: str, words: str) -> None:
        """Go to an area; with ``words``, show only what they let through in its list."""
        self.keys.follow(self.run_worker(self._jump(mode, words), exit_on_error=False))

    async def _jump(self, mode: str, words: str) -> None:
        area = await self.go_to(mode)
        if words and isinstance(area, ModeScreen):
            area.filter_by(words)

    def action_choose_theme(self) -> None:
        if self.terminal.no_colour:
            self.tell("Colours are off: by NO_COLOR, by --color none, or since the terminal has none.")
            return
        self.keys.follow(self.run_worker(self.theme_choice.ask(), group="theme", exclusive=True, exit_on_error=False))

    def action_toggle_mouse(self) -> None:
        self._mouse_on = not self._mouse_on
        if isinstance(self._driver, ConsoleDriver):
            self._driver.use_mouse(self._mouse_on)
        self.tell("The console has the mouse." if self._mouse_on else "The terminal has the mouse: select and copy.")

    def action_redraw(self) -> None:
        self._painting.forget()
        self.refresh(layout=True)
        self.screen.refresh(layout=True)

    # --- leaving

    async def action_quit(self) -> None:
        """Leave; asks first where that would end something. The same key again says yes to that."""
        if isinstance(self.screen, QuitDialog):
            self.screen.dismiss(True)
            return
        self.keys.follow(self.run_worker(self._quit(), group="quit", exclusive=True, exit_on_error=False))

    async def _quit(self) -> None:
        ends = [words for words, is_under_way in self.ending_with_it.items() if is_under_way()]
        leaving = await Leaving.now(self.connection.api, ends)

        def answered(yes: bool | None) -> None:
            if yes:
                self.farewell = leaving.farewell
                self.exit(0)

        if leaving.question:
            self.push_screen(QuitDialog(leaving.question), answered)
        else:
            answered(True)
