"""Settings in force and where each comes from; the service, the API's addresses and token; the theme."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content

from console.actions import bindings
from console.plain import brief
from console.quantities import count
from console.rights import REFUSED
from console.screens.confirm import ConfirmDialog
from console.screens.list_screen import ListScreen
from console.screens.picker import Choice, PickerDialog
from console.screens.setting_form import SettingForm
from console.screens.token import TokenDialog
from console.widgets.cut_lines import CutLines
from console.widgets.detail_pane import Detail, DetailPane, Field
from console.widgets.filter_field import FilterField
from console.widgets.heading import Heading
from console.widgets.line_table import Cell, Column, LineTable, Row
from engine.api import EngineApi
from engine.models import ServiceAction, ServiceState, Setting, SettingOrigin

SERVICE_EVERY_S = 10.0
_ORIGINS: dict[SettingOrigin, Cell] = {
    "default": Cell("· default", "muted"),
    "file": Cell("● file", "ok"),
    "environment": Cell("○ environment", "warning"),
    "flag": Cell("○ flag", "warning"),
}
_ENDS = "Every run, VM and job of the daemon ends, and a console that is attached to it loses its engine"
_QUESTIONS: dict[ServiceAction, tuple[str, str]] = {
    "start": (
        "Start",
        "The daemon opens the engine for all commands and consoles. Where this console has opened it itself, "
        "the daemon starts when this console is left.",
    ),
    "stop": ("Stop", f"{_ENDS}. It starts again with the next boot if it is enabled."),
    "restart": ("Restart", f"{_ENDS} until the daemon is back. Settings that wait for it are in force then."),
    "enable": ("Enable", "The daemon will start with each boot. Nothing starts now."),
    "disable": ("Disable", "The daemon will not start with the next boot. What runs goes on."),
}
"""What each does, for the button and the question before it."""


class SettingsScreen(ListScreen[Setting]):
    MODE = "settings"
    BINDINGS: ClassVar = bindings("settings")
    CSS_PATH = "../styles/settings.tcss"
    HEADING = "Settings"
    COLUMNS = (
        Column("SETTING", 18, most=24),
        Column("VALUE", 22, most=48),
        Column("FROM", 13, priority=8),
        Column("ABOUT", 0, priority=3),
    )
    EMPTY = ("The engine names no settings.",)
    NEEDS_ROW = frozenset(("detail", "edit", "unset"))

    def __init__(self) -> None:
        super().__init__()
        self._service: ServiceState | None = None
        self._service_asked: float | None = None

    def compose_body(self) -> ComposeResult:
        yield Heading("Service", id="service-heading")
        yield CutLines(id="service")
        yield Heading(self.HEADING, id="list-heading")
        yield FilterField()
        with Horizontal(id="list-body"):
            yield LineTable(self.COLUMNS, empty=("…",))
            with VerticalScroll(id="side", can_focus=False):
                yield DetailPane()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._show_service())
        self._show_service()

    # --- data

    async def poll(self, api: EngineApi) -> None:
        await super().poll(api)
        # systemd is asked by a program of its own, so not with every tick.
        if self._service_asked is None or time.monotonic() - self._service_asked >= SERVICE_EVERY_S:
            self._service = await api.service()
            self._service_asked = time.monotonic()
            self._show_service()
            self.update_actions()

    async def fetch(self, api: EngineApi) -> Sequence[Setting]:
        return await api.settings()

    def action_refresh_now(self) -> None:
        self._service_asked = None
        super().action_refresh_now()

    def key_of(self, item: Setting) -> str:
        return item.name

    def row_of(self, item: Setting) -> Row:
        waits = item.pending is not None
        value = Cell(f"→ {_pending(item)}, now {_value(item)}", "accent") if waits else Cell(_value(item))
        return Row(item.name, (Cell(item.name), value, _ORIGINS[item.origin], Cell(item.about, "muted")))

    def note_of(self, items: Sequence[Setting]) -> str:
        waiting = sum(item.pending is not None for item in items)
        given = sum(item.origin != "default" for item in items)
        wait = f", {waiting} → after the engine's next start" if waiting else ""
        return f"{count(len(items), 'setting')}, {given} given{wait}" if items else ""

    def detail_of(self, item: Setting) -> Detail:
        origin = _ORIGINS[item.origin]
        return Detail(
            f"Setting {item.name}",
            (
                Field("Setting", item.name),
                Field("About", item.about),
                Field("Value", _value(item)),
                Field("From", f"{origin.text} {item.source}".rstrip()),
                Field("Next start", "" if item.pending is None else f"→ {_pending(item)}", "accent"),
                Field("Default", item.default or "empty", "muted"),
                Field("Choices", ", ".join(item.choices), "muted"),
                Field("Fixed", item.why_not, "warning"),
            ),
        )

    # --- service, API, theme

    def show_refused(self) -> None:
        super().show_refused()
        self._service = self._service_asked = None
        self._show_service()

    def _show_service(self) -> None:
        unknown = REFUSED if self.refused else "…"
        self.query_one("#service", CutLines).show(
            _service_line(self._service, unknown), _api_line(self._service, unknown), self._theme_line()
        )

    def _theme_line(self) -> Content:
        broken = self.app.theme_choice.found.broken
        key, hint = ("", "  colours are off") if self.app.terminal.no_colour else ("  T", " chooses")
        return Content.assemble(
            (" Theme    ", "$muted"),
            (brief(self.app.theme), "$foreground"),
            (key, "bold $primary"),
            (hint, "$muted"),
            (brief(f"  ! {broken[0].file}: {broken[0].reason}") if broken else "", "$warning"),
        )

    def action_steer_service(self) -> None:
        offered = self._service.actions if self._service is not None else ()

        def picked(key: str | None) -> None:
            for action in offered:
                if action == key:
                    self._ask_before(action)

        choices = [Choice(action, _QUESTIONS[action][0], f"systemctl {action} vmdeck") for action in offered]
        self.app.push_screen(PickerDialog("Service", choices), picked)

    def _ask_before(self, action: ServiceAction) -> None:
        word, ends = _QUESTIONS[action]

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._steer(action), "service")

        self.app.push_screen(ConfirmDialog(f"{word} the service?", ends, yes=word), answered)

    async def _steer(self, action: ServiceAction) -> None:
        api = await self.app.connection.opened()
        self._service = await api.control_service(action)
        self.app.tell(f"systemd was told to {action} the service.")
        self.action_refresh_now()

    def action_show_token(self) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.ask_here(self._token(), self._show_token, "token", late="The token was not shown.")

        text = "Whoever sees it can run code here and change this host."
        self.app.push_screen(ConfirmDialog("Show the API token?", text, yes="Show"), answered)

    async def _token(self) -> str:
        api = await self.app.connection.opened()
        return await api.api_token()

    def _show_token(self, token: str) -> None:
        self.app.push_screen(TokenDialog(token))

    # --- changing a setting

    def action_edit(self) -> None:
        setting = self.current
        if setting is None:
            return
        if not setting.choices:
            self.app.push_screen(SettingForm(setting), self._changed)
            return

        def picked(value: str | None) -> None:
            if value is not None:
                self.ask(self._set(setting.name, value), "set")

        now = setting.value if setting.pending is None else setting.pending
        choices = [Choice(each, each, "the default" if each == setting.default else "") for each in setting.choices]
        self.app.push_screen(PickerDialog(setting.name, choices, at=now), picked)

    def action_unset(self) -> None:
        setting = self.current
        if setting is None:
            return
        default = setting.default or "empty"
        text = f"Its line in config.toml goes. From the engine's next start on it is the default: {default}."

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._set(setting.name, None), "set")

        self.app.push_screen(ConfirmDialog(f"Unset {setting.name}?", text, yes="Unset"), answered)

    async def _set(self, name: str, value: str | None) -> None:
        api = await self.app.connection.opened()
        self._changed(await api.set_setting(name, value))

    def _changed(self, setting: Setting | None) -> None:
        if setting is None:
            return
        if setting.pending is None:
            self.app.tell(f"{setting.name} is {_value(setting)}, as before.")
        else:
            self.app.tell(f"{setting.name} is {_pending(setting)} from the engine's next start on.")
        self.action_refresh_now()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        if not allowed or not self.is_mounted:
            return allowed
        setting = self.current
        if action == "edit":
            return True if setting is not None and setting.editable else None
        if action == "unset":
            return True if setting is not None and setting.editable and _is_in_file(setting) else None
        if action == "steer_service":
            return True if self._service is not None and self._service.actions else None
        if action == "show_token":
            return True if self._service is not None and self._service.has_token else None
        return allowed


def _is_in_file(setting: Setting) -> bool:
    """Whether config.toml may have a line of it: what is in force came from there, or it says otherwise since."""
    return setting.origin == "file" or setting.pending is not None


def _value(setting: Setting) -> str:
    if setting.secret:
        return "none" if setting.origin == "default" else "set, not shown"
    return setting.value or "empty"


def _pending(setting: Setting) -> str:
    return "changed" if setting.secret else setting.pending or "empty"


def _service_line(state: ServiceState | None, unknown: str) -> Content:
    if state is None:
        return Content.styled(f" Service  {unknown}", "$muted")
    if state.active:
        sign, role = "✓", "success"
    else:
        sign, role = ("!", "warning") if state.installed else ("-", "muted")
    return Content.assemble((" Service  ", "$muted"), (f"{sign} ", f"${role}"), brief(state.seen))


def _api_line(state: ServiceState | None, unknown: str) -> Content:
    if state is None:
        return Content.styled(f" API      {unknown}", "$muted")
    token = ("token set", "$foreground") if state.has_token else ("no token", "$muted")
    where = "  ".join(map(brief, state.addresses)) or "this engine listens nowhere"
    return Content.assemble((" API      ", "$muted"), token, "  ", (where, "$foreground"))
