"""The dialog that changes one setting. What the engine finds wrong with a value is shown in place."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Static

from console.plain import brief
from console.screens.dialog import Dialog
from console.widgets.plain_fields import PlainInput
from engine.errors import VmdeckError
from engine.models import Setting


class SettingForm(Dialog[Setting]):
    """Answers the setting as it is after the change; None where nothing was changed."""

    AUTO_FOCUS = "Input"
    hint = "enter writes it, esc cancels"

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self._setting = setting
        self.heading = setting.name

    def compose_body(self) -> ComposeResult:
        setting = self._setting
        yield Static(Content(brief(setting.about)))
        yield Static(Content.styled(f"default: {brief(setting.default) or 'empty'}", "$muted"))
        value = setting.value if setting.pending is None else setting.pending
        yield PlainInput(value, id="value", compact=True, password=setting.secret)
        yield Static(id="problem")
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            yield Button(Content("Write"), id="yes", variant="primary", compact=True)

    def on_input_submitted(self) -> None:
        self._write()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._write()
        else:
            self.dismiss(None)

    def _write(self) -> None:
        value = self.query_one(Input).value
        self.run_worker(self._ask(value), group="write", exclusive=True, exit_on_error=False)

    async def _ask(self, value: str) -> None:
        api = await self.app.connection.opened()
        try:
            setting = await api.set_setting(self._setting.name, value)
        except VmdeckError as error:
            lines = (Content.styled(brief(error.message), "$error"), Content.styled(brief(error.remedy), "$muted"))
            self.query_one("#problem", Static).update(Content("\n").join(line for line in lines if line.plain))
            self.query_one(Input).focus()
            return
        self.close_with(setting)
