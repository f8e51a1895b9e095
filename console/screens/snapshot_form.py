"""The few things to decide before a snapshot is made; empty fields leave the choice to the engine."""

from __future__ import annotations

from pydantic import ValidationError
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from console.screens.dialog import Dialog
from engine.models import CreateSnapshotRequest

_FIELDS = (
    ("language", "Language", "python, bash, ..."),
    ("memory_mib", "Memory MiB", "the default"),
    ("vcpus", "vCPUs", "the default"),
    ("name", "Name", "made from the above"),
)


class SnapshotForm(Dialog[CreateSnapshotRequest]):
    """Answers a valid request, or None."""

    AUTO_FOCUS = "Input"
    heading = "New snapshot"
    hint = "tab moves, enter makes it, esc cancels"

    def compose_body(self) -> ComposeResult:
        for key, label, hint in _FIELDS:
            with Horizontal(classes="form-row"):
                yield Label(Content(label))
                yield Input(placeholder=hint, id=key, compact=True)
        yield Static(id="problem")
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            yield Button(Content("Make"), id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        for field in self.query(Input):
            field.cursor_blink = False
        self.run_worker(self._suggest_language(), exit_on_error=False)

    async def _suggest_language(self) -> None:
        """The first language that could run but has no snapshot that fits."""
        api = await self.app.connection.opened()
        languages = await api.languages()
        field = self.query_one("#language", Input)
        wish = next((language.id for language in languages if language.ready and not language.warm), None)
        if wish and not field.value:
            field.value = wish

    def on_input_submitted(self) -> None:
        self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        values = {field.id or "": field.value.strip() for field in self.query(Input) if field.value.strip()}
        try:
            request = CreateSnapshotRequest.model_validate(values)
        except ValidationError as error:
            problem = error.errors()[0]
            field = str(problem["loc"][0]) if problem["loc"] else "language"
            labels = {key: label for key, label, _ in _FIELDS}
            self.query_one("#problem", Static).update(Content.styled(f"{labels[field]}: {problem['msg']}", "$error"))
            self.query_one(f"#{field}", Input).focus()
            return
        self.dismiss(request)
