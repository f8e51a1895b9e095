"""What undoing setup would remove from this host, and a word to type before it does."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from console.plain import brief
from console.screens.dialog import Dialog
from console.widgets.plain_fields import PlainInput
from engine.models import SetupTrace

WORD = "undo"


class SetupUndoDialog(Dialog[bool]):
    """Answers True where the operator typed the word; None or False otherwise."""

    AUTO_FOCUS = "#no"
    heading = "Undo setup"
    hint = "tab moves, esc cancels"

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="plan", can_focus=True):
            yield Static(Content.styled("Reading what setup made …", "$muted"), id="traces")
        yield Static(id="problem")
        yield PlainInput(placeholder=f"type {WORD} to remove all this", id="word", compact=True)
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            yield Button(Content("Undo"), id="yes", variant="error", compact=True, disabled=True)

    def on_mount(self) -> None:
        self._can_undo = False
        self.run_worker(self._read(), exit_on_error=False)

    async def _read(self) -> None:
        api = await self.app.connection.opened()
        self.show_traces(await api.setup_record())

    def show_traces(self, traces: Sequence[SetupTrace]) -> None:
        """Last made first, as undo goes."""
        self._can_undo = bool(traces) and self.app.rights.may_change
        lines = [
            Content.assemble((f"{trace.kind:<13} ", "$muted"), brief(trace.what), (f"  {brief(trace.step)}", "$muted"))
            for trace in reversed(traces)
        ]
        self.query_one("#traces", Static).update(
            Content("\n").join(lines) if lines else Content("Nothing is recorded as made by setup.")
        )
        self._tell("What was changed since is left, and named in the log." if traces else "")

    def on_input_changed(self) -> None:
        self.query_one("#yes", Button).disabled = not self._agreed

    def on_input_submitted(self) -> None:
        if self._agreed:
            self.dismiss(True)
        else:
            self._tell(f"Type the word {WORD}, then enter." if self._can_undo else "There is nothing to undo.")

    @property
    def _agreed(self) -> bool:
        return self._can_undo and self.query_one(Input).value.strip() == WORD

    def _tell(self, text: str) -> None:
        self.query_one("#problem", Static).update(Content.styled(text, "$muted"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")
