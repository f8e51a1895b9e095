"""What lies over a mode: a box with a title, whose keys are its own. The areas below stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.worker import Worker, WorkerState

from console.actions import DIALOGS, bindings
from console.plain import plain
from console.widgets.too_small import TooSmall

if TYPE_CHECKING:
    from console.app import ConsoleApp

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None]):
    """Base of dialogs: closing one answers None."""

    BINDINGS: ClassVar = bindings(DIALOGS)
    app: ConsoleApp
    heading = ""
    hint = "esc closes"

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            box.border_title = Content(plain(self.heading))
            box.border_subtitle = Content(self.hint)
            yield from self.compose_body()
        yield TooSmall()

    def compose_body(self) -> ComposeResult:
        raise NotImplementedError

    def action_close(self) -> None:
        self.dismiss(None)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.app.show_failure(event.worker.error)
