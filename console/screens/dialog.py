"""What lies over a mode: a box with a title, whose keys are its own. The areas below stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

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
    _late_answer: tuple[Any] | tuple[()] = ()

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

    def close_with(self, answer: Answer) -> None:
        """Close once work in the background is done: at once, or when what lies over this dialog is answered.

        Textual's ``dismiss`` takes away whatever lies on top.
        """
        if self.is_active:
            self.dismiss(answer)
        else:
            self._late_answer = (answer,)

    def on_screen_resume(self) -> None:
        if self._late_answer:
            self.dismiss(self._late_answer[0])

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """It lies on top, or under a dialog of its own or the question whether to quit: so its failure may, too."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.app.show_failure(event.worker.error)
