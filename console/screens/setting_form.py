"""The dialog that changes one setting. What the engine finds wrong with a value is shown in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.field_spec import FieldSpec
from console.screens.form import FormDialog
from engine.models import Setting, Value


class SettingValue(Value):
    """What the setting is to be; empty is a value too."""

    value: str


class SettingForm(FormDialog[SettingValue, Setting]):
    """Answers the setting as it is after the change; None where nothing was changed."""

    REQUEST = SettingValue
    YES = "Write"
    hint = "enter writes it, esc cancels"

    def __init__(self, setting: Setting) -> None:
        super().__init__({"value": setting.value if setting.pending is None else setting.pending})
        self._name = setting.name
        self.heading = setting.name
        self.about = (setting.about, f"default: {setting.default or 'empty'}")
        self.fields = (FieldSpec("value", "Value", "empty", kind="secret" if setting.secret else "line"),)

    def request_values(self, values: Mapping[str, str]) -> dict[str, Any]:
        return {"value": values.get("value", "")}

    async def send(self, request: SettingValue) -> Setting:
        return await (await self.app.connection.opened()).set_setting(self._name, request.value)
