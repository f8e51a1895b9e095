"""The first look: can this host run code, with what, what is wrong, how busy is it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content

from console.actions import bindings
from console.plain import brief
from console.screens.detail import DetailDialog
from console.screens.mode_screen import ModeScreen
from console.widgets.cut_lines import CutLines
from console.widgets.detail_pane import Detail, DetailPane, Field
from console.widgets.filter_field import FilterField
from console.widgets.heading import Heading
from console.widgets.host_panel import HostPanel
from console.widgets.line_table import Cell, Column, LineTable, Row
from engine.api import EngineApi
from engine.models import Check, Health, Severity

CHECKS_EVERY_S = 30.0
_SEVERITIES = {
    Severity.BLOCKED: (Cell("✗ blocked", "error"), "error"),
    Severity.DEGRADED: (Cell("! degraded", "warning"), "warning"),
    Severity.INFO: (Cell("· info", "muted"), "muted"),
    Severity.OK: (Cell("✓ ok", "ok"), "success"),
}
_WORST_FIRST = list(_SEVERITIES)
_VERDICTS = {
    "ok": ("✓ Ready", "success"),
    "degraded": ("! Degraded", "warning"),
    "blocked": ("✗ Blocked", "error"),
}


class OverviewScreen(ModeScreen):
    MODE = "overview"
    BINDINGS: ClassVar = bindings("overview")
    AUTO_FOCUS = "LineTable"

    def compose_body(self) -> ComposeResult:
        yield CutLines((Content.styled(" Starting the engine …", "$muted"),), id="verdict")
        with Container(id="overview"):
            with Container(id="beside"):
                yield Heading("Host")
                yield HostPanel(self.app.history)
                yield Heading("Check", id="side-heading")
                with VerticalScroll(id="side", can_focus=False):
                    yield DetailPane()
            with Container(id="checks"):
                yield Heading("Checks", id="checks-heading")
                yield FilterField()
                yield LineTable(
                    (
                        Column("SEVERITY", 10),
                        Column("CHECK", 27, priority=8),
                        Column("SEEN", 0, priority=5),
                        Column("FIX", 5, priority=7),
                    ),
                    empty=("looking at the host …",),
                )

    def on_mount(self) -> None:
        super().on_mount()
        self._checks: dict[str, Check] = {}
        self._checked_at: float | None = None

    # --- data

    async def poll(self, api: EngineApi) -> None:
        metrics = await api.metrics()
        if self.app.last_health is not None:
            self.app.history.add(metrics, self.app.last_health)
            self.query_one(HostPanel).update_figures()
        if self._checked_at is None or time.monotonic() - self._checked_at >= CHECKS_EVERY_S:
            health = await api.health(full=True)
            self._checked_at = time.monotonic()
            self.show_checks(health.checks or ())
            self.show_health(health)

    def action_refresh_now(self) -> None:
        self._checked_at = None
        super().action_refresh_now()

    def on_screen_suspend(self) -> None:
        super().on_screen_suspend()
        self._checked_at = None

    def show_health(self, health: Health) -> None:
        super().show_health(health)
        word, role = _VERDICTS[health.status]
        vmm = health.vmm
        version = f" {vmm.version}" if vmm.version else ""
        self.query_one("#verdict", CutLines).show(
            Content.assemble((f" {word}", f"bold ${role}"), (brief(self._reason(health)), "$foreground")),
            Content.assemble(
                (" VMM  ", "$muted"),
                brief(f"{vmm.vmm}{version} with {vmm.accelerator}"),
                ("" if vmm.jailed else "  ! unjailed", "bold $error"),
                (brief(f"  because {vmm.reason}" if vmm.reason else ""), "$muted"),
            ),
        )

    def _reason(self, health: Health) -> str:
        severity = {"degraded": Severity.DEGRADED, "blocked": Severity.BLOCKED}.get(health.status)
        causes = [check for check in self._checks.values() if check.severity is severity]
        if not causes:
            return f"  vmdeck {health.version}" if health.status == "ok" else f"  {health.vmm.reason}"
        more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
        fix = ", S sets it up" if causes[0].fixed_by else ""
        return f"  {causes[0].title}: {causes[0].seen}{more}{fix}"

    def show_checks(self, checks: Sequence[Check]) -> None:
        found = sorted(checks, key=lambda check: _WORST_FIRST.index(check.severity))
        self._checks = {check.id: check for check in found}
        table = self.query_one(LineTable)
        table.set_empty(("The engine has no checks for this host.",))
        table.set_rows(
            [
                Row(
                    check.id,
                    (
                        _SEVERITIES[check.severity][0],
                        Cell(check.title),
                        Cell(check.seen, "muted"),
                        Cell("setup" if check.fixed_by and check.severity is not Severity.OK else "", "accent"),
                    ),
                )
                for check in found
            ]
        )
        self._show_note()
        self._show_detail()

    def _show_note(self) -> None:
        filtered = self.query_one(LineTable).filter_note
        severities = [check.severity for check in self._checks.values()]
        counts = [(severity.value, severities.count(severity)) for severity in _WORST_FIRST]
        note = filtered or ", ".join(f"{number} {severity}" for severity, number in counts if number)
        self.query_one("#checks-heading", Heading).show(note, "accent" if filtered else "muted")

    @property
    def current(self) -> Check | None:
        return self._checks.get(self.query_one(LineTable).cursor or "")

    def _show_detail(self) -> None:
        check = self.current
        self.query_one(DetailPane).show(None if check is None else _detail(check))

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        self._show_note()
        self._show_detail()

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        self.action_detail()

    def on_resize(self, event: events.Resize) -> None:
        self.query_one(HostPanel).refresh()

    # --- actions

    def action_detail(self) -> None:
        if (check := self.current) is not None:
            self.app.push_screen(DetailDialog(_detail(check)))

    def action_set_up(self) -> None:
        self.app.action_show_mode("setup")


def _detail(check: Check) -> Detail:
    cell, role = _SEVERITIES[check.severity]
    setup = f"S runs the setup step {check.fixed_by}" if check.fixed_by and check.severity is not Severity.OK else ""
    return Detail(
        check.title,
        (
            Field("Severity", cell.text, role),
            Field("Check", check.title),
            Field("About", check.group),
            Field("Seen", check.seen),
            Field("Why", check.why),
            Field("Remedy", check.remedy, "foreground"),
            Field("Setup", setup, "accent"),
        ),
    )
