"""The checks that decide whether and how well this host runs code; all others are on the overview."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from console.setup_panes.pane import SetupPane, SetupView
from console.setup_walk import Walk
from console.severities import SEVERITIES, WORST_FIRST
from console.widgets.detail_pane import Detail, DetailPane, Field
from console.widgets.line_table import Cell, Column, LineTable, Row
from engine.models import Check, Severity

_REQUIRED_GROUPS = frozenset(("vmm", "storage"))
"""Without what these look at nothing runs; the others say how fast and how safe."""


def is_required(check: Check) -> bool:
    return check.severity is Severity.BLOCKED or check.group in _REQUIRED_GROUPS


class ChecksPane(SetupPane):
    def compose(self) -> ComposeResult:
        yield LineTable(
            (Column("NEED", 11), Column("STATE", 10), Column("CHECK", 25), Column("SEEN", 0, priority=5)),
            empty=("Looking at the host …",),
            sortable=False,  # what is needed first stands first
        )
        with VerticalScroll(classes="below", can_focus=False):
            yield DetailPane()

    def on_mount(self) -> None:
        self.add_class("-split")
        self._checks: dict[str, Check] = {}

    def show(self, view: SetupView) -> None:
        health = view.walk.health
        found = sorted(
            (health.checks or ()) if health else (),
            key=lambda check: (not is_required(check), WORST_FIRST.index(check.severity)),
        )
        self._checks = {check.id: check for check in found}
        rows = [
            Row(
                check.id,
                (
                    Cell("required" if is_required(check) else "recommended", "" if is_required(check) else "muted"),
                    SEVERITIES[check.severity].cell,
                    Cell(check.title),
                    Cell(check.seen, "muted"),
                ),
            )
            for check in found
        ]
        self.query_one(LineTable).set_rows(rows)
        self._show_detail()

    def note(self, walk: Walk) -> tuple[str, str]:
        severities = [check.severity for check in self._checks.values()]
        blocked, degraded = severities.count(Severity.BLOCKED), severities.count(Severity.DEGRADED)
        note = f"{blocked} blocked, {degraded} degraded of {len(severities)}" if severities else ""
        return note, "error" if blocked else "foreground"

    def on_line_table_highlighted(self) -> None:
        self._show_detail()

    def _show_detail(self) -> None:
        check = self._checks.get(self.query_one(LineTable).cursor or "")
        self.query_one(DetailPane).show(None if check is None else _detail(check))


def _detail(check: Check) -> Detail:
    return Detail(
        check.title,
        (
            Field("Seen", check.seen),
            Field("Why", check.why, "muted"),
            Field("Remedy", check.remedy),
            Field("Setup", f"the step {check.fixed_by} sees to it" if check.fixed_by else "", "accent"),
        ),
    )
