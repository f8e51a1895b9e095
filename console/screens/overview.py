"""The first look: can this host run code, with what, what is wrong, how busy is it, what went wrong last.

Each part is asked for at its own pace and shown when its answer comes; one that fails leaves the others alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content

from console.actions import bindings
from console.history import History
from console.plain import brief
from console.rights import REFUSED
from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from console.screens.mode_screen import JOB_GOES_ON, ModeScreen
from console.severities import SEVERITIES, WORST_FIRST
from console.widgets.cut_lines import CutLines
from console.widgets.detail_pane import Detail, DetailPane, Field
from console.widgets.filter_field import FilterField
from console.widgets.heading import Heading
from console.widgets.host_panel import HostPanel
from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.run_panel import RunFigures, RunPanel
from engine.api import EngineApi
from engine.states import Severity

if TYPE_CHECKING:
    from engine.models import Check, Health, Job, SetupStep

RUNS_EVERY_S = 10.0
FIRST_SAMPLE_S = 0.5
_VERDICTS = {
    "ok": ("✓ Ready", "success"),
    "degraded": ("! Degraded", "warning"),
    "blocked": ("✗ Blocked", "error"),
}
_CHECKS = (
    Column("SEVERITY", 10),
    Column("CHECK", 27, priority=8),
    Column("SEEN", 0, priority=5),
    Column("FIX", 5, priority=7),
)


class OverviewScreen(ModeScreen):
    MODE = "overview"
    CSS_PATH = "../styles/overview.tcss"
    BINDINGS: ClassVar = bindings("overview")
    AUTO_FOCUS = "LineTable"

    def __init__(self) -> None:
        super().__init__()
        self._history = History()
        self._checks: dict[str, Check] = {}
        self._figures = RunFigures()
        self._due_s: dict[str, float] = {}

    def compose_body(self) -> ComposeResult:
        yield CutLines((Content.styled(" Starting the engine …", "$muted"),), id="verdict")
        with Container(id="overview"):
            with Container(id="beside"):
                yield Heading("Host")
                yield HostPanel()
                yield Heading("Work")
                yield RunPanel()
            with Container(id="checks"):
                yield Heading("Checks", id="checks-heading")
                yield FilterField()
                yield LineTable(_CHECKS, empty=("looking at the host …",), sortable=False)
                yield Heading("Check", id="side-heading")
                with VerticalScroll(id="side", can_focus=False):
                    yield DetailPane()

    # --- data

    async def poll(self, api: EngineApi) -> None:
        asked: list[Coroutine[Any, Any, None]] = [self._ask_host(api), self._ask_jobs(api)]
        if self._due("runs", RUNS_EVERY_S):
            asked += [self._ask_stats(api), self._ask_failures(api)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        if failed := [answer for answer in answers if answer is not None]:
            self._due_s.clear()
            raise failed[0]

    def _due(self, what: str, every_s: float) -> bool:
        """Whether it is time to ask for this again; then it is counted as asked."""
        now = time.monotonic()
        due = now >= self._due_s.get(what, now)
        if due:
            self._due_s[what] = now + every_s
        return due

    async def _ask_host(self, api: EngineApi) -> None:
        self._history.add(await api.samples(last=self._history.wanted))
        if self._history.newest is None:  # an engine that has just opened
            self.set_timer(FIRST_SAMPLE_S, self._again.set)
        if self.app.last_health is not None:
            self.query_one(HostPanel).show(self._history, self.app.last_health)

    async def _ask_jobs(self, api: EngineApi) -> None:
        self._show_work(replace(self._figures, jobs=await api.jobs()))

    async def _ask_stats(self, api: EngineApi) -> None:
        self._show_work(replace(self._figures, stats=await api.run_stats()))

    async def _ask_failures(self, api: EngineApi) -> None:
        from engine.models import RunQuery  # not before the first paint, which waits for no pydantic

        asked = RunQuery(outcome="!success", limit=5)
        failures = REFUSED if self.app.rights.viewer else await api.runs(asked)
        self._show_work(replace(self._figures, failures=failures))

    def action_refresh_now(self) -> None:
        self._due_s.clear()
        self.app.check_again()
        super().action_refresh_now()

    # --- what is shown

    def _show_work(self, figures: RunFigures) -> None:
        self._figures = figures
        self.query_one(RunPanel).show(figures, self.app.now())

    def show_health(self, health: Health) -> Health:
        if health.checks is not None:
            self.show_checks(health.checks)
        health = super().show_health(health)
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
        return health

    def _reason(self, health: Health) -> str:
        severity = {"degraded": Severity.DEGRADED, "blocked": Severity.BLOCKED}.get(health.status)
        causes = [check for check in self._checks.values() if check.severity is severity]
        if not causes:
            return f"  vmdeck {health.version}" if health.status == "ok" else f"  {health.vmm.reason}"
        more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
        return f"  {causes[0].title}: {causes[0].seen}{more}"

    def show_checks(self, checks: Sequence[Check]) -> None:
        found = sorted(checks, key=lambda check: WORST_FIRST.index(check.severity))
        self._checks = {check.id: check for check in found}
        table = self.query_one(LineTable)
        table.set_empty(("The engine has no checks for this host.",))
        table.set_rows(
            [
                Row(
                    check.id,
                    (
                        SEVERITIES[check.severity].cell,
                        Cell(check.title),
                        Cell(check.seen, "muted"),
                        Cell("f fix" if _fixable(check) else "", "accent"),
                    ),
                )
                for check in found
            ]
        )
        self._show_current()

    def _show_current(self) -> None:
        note = self.query_one(LineTable).note
        severities = [check.severity for check in self._checks.values()]
        counts = [(severity.value, severities.count(severity)) for severity in WORST_FIRST]
        whole = ", ".join(f"{number} {severity}" for severity, number in counts if number)
        self.query_one("#checks-heading", Heading).show(note or whole, "accent" if note else "muted")
        self.query_one(DetailPane).show(None if self.current is None else _detail(self.current))
        self.update_actions()

    @property
    def current(self) -> Check | None:
        return self._checks.get(self.query_one(LineTable).cursor or "")

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        self._show_current()

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        self.action_detail()

    # --- actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        if allowed and action == "fix" and self.is_mounted:
            return True if self.current is not None and _fixable(self.current) else None
        return allowed

    def action_detail(self) -> None:
        if self.current is not None:
            self.app.push_screen(DetailDialog(_detail(self.current)))

    def action_fix(self) -> None:
        if self.current is not None and self.current.fixed_by is not None:
            check, step_id = self.current, self.current.fixed_by
            late = f"What would fix {check.title} is known now: f asks again."
            self.ask_here(self._step(step_id), lambda step: self._ask_to_fix(check, step_id, step), "fix", late=late)

    async def _step(self, step_id: str) -> SetupStep | None:
        api = await self.app.connection.opened()
        return next((step for step in await api.setup_steps() if step.id == step_id), None)

    def _ask_to_fix(self, check: Check, step_id: str, step: SetupStep | None) -> None:
        would = [f"- {action}" for action in step.would] if step is not None else []
        text = "\n".join((f"Setup does its step {step.title if step else step_id}, and what that needs:", *would))

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask_here(self._set_up([step_id]), self.app.show_job, "setup", late=JOB_GOES_ON)

        self.app.push_screen(ConfirmDialog(f"Fix {check.title}?", text, yes="Fix"), answered)

    def action_set_up(self) -> None:
        self.app.action_show_mode("setup")

    async def _set_up(self, steps: Sequence[str]) -> Job:
        api = await self.app.connection.opened()
        return await api.apply_setup(steps)


def _fixable(check: Check) -> bool:
    return check.fixed_by is not None and check.severity is not Severity.OK


def _detail(check: Check) -> Detail:
    look = SEVERITIES[check.severity]
    setup = f"f runs the setup step {check.fixed_by}" if _fixable(check) else ""
    return Detail(
        check.title,
        (
            Field("Severity", look.text, look.role),
            Field("Check", check.title),
            Field("About", check.group),
            Field("Seen", check.seen),
            Field("Why", check.why),
            Field("Remedy", check.remedy, "foreground"),
            Field("Setup", setup, "accent"),
        ),
    )
