"""What all areas share: the frame, polling while visible, failures, and read-only mode.

A screen asks the engine only while it is shown. The next question is asked a while after the last was answered, and
not before the terminal has swallowed what was painted; an engine that does not answer shows as such and blocks
nothing. While it is lost, all stays on the screen, with its age.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Input, TextArea
from textual.worker import Worker, WorkerState

from console.actions import EVERYWHERE, LISTS, MARKS, SORTING, Action, action_named, actions
from console.connection import ConnectionState
from console.failure import Failure
from console.quantities import age
from console.rights import REFUSED_WORDS
from console.screens.picker import Choice, PickerDialog
from console.widgets.action_bar import ActionBar
from console.widgets.filter_field import FilterField
from console.widgets.line_table import LineTable
from console.widgets.notice import Notice
from console.widgets.status_line import FAILING, NO_ENGINE, STARTING, VERDICTS, StatusLine, late, lost
from console.widgets.too_small import TooSmall
from engine.api import EngineApi
from engine.errors import ForbiddenError

if TYPE_CHECKING:
    from console.app import ConsoleApp
    from engine.models import Health

LATE_AFTER_S = 4.0
POLL = "poll"
JOB_GOES_ON = "It goes on as a job of the engine: 6 shows it."
Answer = TypeVar("Answer")


class ModeScreen(Screen[None]):
    """Base of the areas. Subclasses give ``MODE``, ``compose_body`` and ``poll``; one that lies over its area's first
    screen has actions of its own, those of ``PLACE``."""

    MODE: ClassVar[str]
    PLACE: ClassVar[str] = ""
    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self._again = asyncio.Event()
        self._answered_at: float | None = None
        self._refused_as: tuple[str, str] | None = None

    def compose(self) -> ComposeResult:
        yield StatusLine(self.MODE)
        yield Notice()
        yield from self.compose_body()
        yield ActionBar()
        yield TooSmall()

    def compose_body(self) -> ComposeResult:
        raise NotImplementedError

    async def poll(self, api: EngineApi) -> None:
        """Ask the engine and show the answer. Raises VmdeckError as the engine does."""
        raise NotImplementedError

    # --- polling

    # Textual calls the handlers of base classes too, the derived first, so none calls its like there.

    def on_mount(self) -> None:
        self.show_connection()

    def on_screen_resume(self) -> None:
        self.run_worker(self._keep_polling, group=POLL, exclusive=True, exit_on_error=False)
        self.show_connection()

    def on_screen_suspend(self) -> None:
        self.workers.cancel_group(self, POLL)

    def action_refresh_now(self) -> None:
        self.poll_now()

    def poll_now(self) -> None:
        self._again.set()

    async def _keep_polling(self) -> None:
        while True:
            api = await self._opened()
            await self.app.output_sent()
            self._again.clear()
            await self._poll_once(api)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.app.tick_s):
                    await self._again.wait()

    async def _opened(self) -> EngineApi:
        """The engine, once it is there; until then the age of what is on the screen goes on."""
        while True:
            try:
                async with asyncio.timeout(self._age_changes_in_s()):  # wait_for may swallow a cancellation
                    return await self.app.connection.until_open()
            except TimeoutError:
                await self.app.output_sent()
                self.show_connection()

    def _age_changes_in_s(self) -> float:
        return 1.0 if self._answered_at is None or time.monotonic() - self._answered_at < 60 else 10.0

    async def _poll_once(self, api: EngineApi) -> None:
        """One question; while its answer is late, say so. An engine that is lost is not waited for."""
        question = asyncio.ensure_future(self._ask(api))
        gone = asyncio.ensure_future(self.app.connection.until_not(api))
        waited = 0.0
        try:
            while not (question.done() or gone.done()):
                step = 1.0 if waited else LATE_AFTER_S
                done, _ = await asyncio.wait({question, gone}, timeout=step, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    waited += step
                    self.status.engine = late(int(waited))
            if question.done():
                question.result()
                self._answered_at = time.monotonic()
                self.query_one(Notice).show(None)
                if self.refused:
                    self.show_refused()
        except Exception as error:  # noqa: BLE001  shown to the operator; a fault in one area must not end the console
            if not gone.done():
                self.status.engine = FAILING
                self.query_one(Notice).show(Failure.of(error))
        finally:
            question.cancel()
            gone.cancel()

    async def _ask(self, api: EngineApi) -> None:
        self.show_health(await api.health())
        answers = await asyncio.gather(self._poll(api), self._ask_checks(api), return_exceptions=True)
        if failed := [answer for answer in answers if answer is not None]:
            raise failed[0]

    async def _poll(self, api: EngineApi) -> None:
        """What the engine refuses to this caller is not asked for again before it takes the caller for another."""
        who = self.app.connection.identity
        asked_as = None if who is None else (who.id, who.role)
        if self._refused_as is not None and asked_as == self._refused_as:
            return
        try:
            await self.poll(api)
        except ForbiddenError:
            if asked_as is None:
                raise
            self._refused_as = asked_as
        else:
            self._refused_as = None

    @property
    def refused(self) -> bool:
        """Whether what this area shows is the operator's only, and who looks is not the operator."""
        return self._refused_as is not None

    def show_refused(self) -> None:
        self.query_one(Notice).say(" ".join(REFUSED_WORDS))

    async def _ask_checks(self, api: EngineApi) -> None:
        """Beside the poll, since checks may take seconds."""
        if self.app.checks_due:
            self.show_health(await api.health(full=True))

    def show_health(self, health: Health) -> Health:
        """Show it, and return it with what is known besides."""
        health = self.app.take_health(health)
        self.status.engine = VERDICTS[health.status]
        self.app.begin_with_setup(health)
        return health

    # --- the frame

    def show_connection(self) -> None:
        """Which engine this is, and where there is none at hand, why."""
        connection = self.app.connection
        self.status.place = self.app.place
        notice = self.query_one(Notice)
        match connection.state:
            case ConnectionState.OPEN:
                if self.status.engine not in VERDICTS.values():
                    known = self.app.last_health
                    self.status.engine = VERDICTS[known.status] if known else STARTING
                    notice.show(None)
            case ConnectionState.LOST:
                self.status.engine = lost(self._data_age())
                self._show_failure(connection.error, "It is tried again by itself; R tries now")
            case ConnectionState.FAILED:
                self.status.engine = NO_ENGINE
                self._show_failure(connection.error, "R tries again")
            case ConnectionState.STARTING | ConnectionState.CLOSED:
                self.status.engine = STARTING
                notice.say(connection.words)
        self.update_actions()

    def _show_failure(self, error: BaseException | None, hint: str) -> None:
        if error is not None:
            self.query_one(Notice).show(Failure.of(error), hint)

    def _data_age(self) -> str:
        return "" if self._answered_at is None else age(time.monotonic() - self._answered_at)

    @property
    def place(self) -> str:
        """Where its actions are in the registry."""
        return self.PLACE or self.MODE

    @property
    def status(self) -> StatusLine:
        return self.query_one(StatusLine)

    # --- calls that the operator asked for

    def ask(self, work: Coroutine[Any, Any, None], group: str, *, opens: bool = False) -> None:
        """Do something in the background; its failure is shown with its remedy. Where it ``opens`` something of this
        area, keys wait for that."""
        worker = self.run_worker(work, group=group, exit_on_error=False)
        if opens:
            self.app.keys.follow(worker)

    def ask_here(
        self, question: Coroutine[Any, Any, Answer], then: Callable[[Answer], None], group: str, *, late: str
    ) -> None:
        """Ask for what opens a dialog or leads to an area, which ``then`` does; keys wait for that.

        The operator may have gone elsewhere when the answer comes: then ``late`` is told, and nothing opens over what
        they do there. Of two questions of one ``group`` the first is not waited for any more.
        """

        async def asked() -> None:
            answer = await question
            if self.is_active:
                then(answer)
            else:
                self.app.tell(late)

        self.app.keys.follow(self.run_worker(asked(), group=group, exclusive=True, exit_on_error=False))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.show_failure(event.worker.error)

    def show_failure(self, error: BaseException | Failure) -> None:
        """In full where the operator still is here; a dialog must not take the keys from other work."""
        failure = error if isinstance(error, Failure) else Failure.of(error)
        if self.is_active:
            self.app.show_failure(failure)
        else:
            self.app.tell(f"{failure.message} {failure.remedy}".strip(), failed=True)

    # --- actions

    @property
    def list_places(self) -> list[str]:
        """Where the registry has what can be done to the tables shown here."""
        tables = list(self.query(LineTable))
        places = ((LISTS, tables), (SORTING, [table for table in tables if table.sortable]))
        return [place for place, found in (*places, (MARKS, [table for table in tables if table.markable])) if found]

    def _is_needless(self, action: Action) -> bool:
        """Whether it is for the rows of lists, where no list that is shown has any."""
        if action.where not in (LISTS, SORTING, MARKS):
            return False
        tables = [table for table in self.query(LineTable) if all(node.display for node in table.ancestors_with_self)]
        return not any(table.keys or table.filter for table in tables)

    def on_line_table_filter_wanted(self, event: LineTable.FilterWanted) -> None:
        self.query_one(FilterField).open(event.table)

    def filter_by(self, words: str) -> None:
        """Show only the rows of this area's list that contain the words."""
        for table in self.query(LineTable):
            table.filter = words
            table.focus()
            return
        self.app.tell(f"There is no list here to look for {words} in.", failed=True)

    def on_line_table_sort_wanted(self, event: LineTable.SortWanted) -> None:
        choices = [Choice("", "no order", "as the engine gives the rows")] + [
            Choice(str(at), column.title, "changes all the time, so sorted now and then" if column.live else "")
            for at, column in enumerate(event.table.columns)
            if at not in event.table.hidden
        ]

        def answered(choice: str | None) -> None:
            if choice is not None:
                event.table.sort(int(choice) if choice else None)

        self.app.push_screen(PickerDialog("Sort by", choices, at=event.table.sorted_by), answered)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        entry = action_named(action, self.place)
        return None if entry is not None and not self.app.rights.allow(entry) else True

    def bar_actions(self) -> list[Action]:
        """What the action bar may show, in its order."""
        places = (self.place, *self.list_places, EVERYWHERE)
        every = [action for place in places for action in actions(place) if action.rank]
        ranked = [action for action in every if not self._is_needless(action)]
        return sorted(ranked, key=lambda action: action.rank)

    def update_actions(self) -> None:
        can = [
            (action, (self.app if action.where == EVERYWHERE else self).check_action(action.name, ()))
            for action in self.bar_actions()
        ]
        entries = tuple((action, bool(now)) for action, now in can if now is not False)
        self.query_one(ActionBar).show(entries, typing=self.typing)

    @property
    def typing(self) -> bool:
        """Whether a text field has the keys."""
        return isinstance(self.focused, Input | TextArea)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.update_actions()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        self.update_actions()
