"""Everything known about one VM: its figures over time, its start, its serial console, its limits. Lies over the VMs.

When the VM ends, what was last seen of it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget

from console import vm_kill
from console.actions import VM, bindings
from console.plain import plain
from console.quantities import age, percent, size
from console.screens.confirm import ConfirmDialog
from console.screens.mode_screen import ModeScreen
from console.serial_log import SerialLog
from console.vm_facts import STATES, summary
from console.vm_traffic import TrafficRates
from console.widgets.detail_pane import Detail, DetailPane, Field
from console.widgets.filter_field import FilterField
from console.widgets.heading import Heading
from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.output_view import OutputView
from console.widgets.sections import CURRENT, Section, SectionTabs
from console.widgets.text_graph import Course, TextGraph
from console.widgets.text_lines import TextLines
from console.widgets.timeline import Timeline
from engine.api import EngineApi
from engine.errors import NotFoundError, VmdeckError
from engine.models import Figure, Vm, VmDetail

SERIAL = "serial"
DRAW_EVERY_S = 0.25
MIB = 1024 * 1024
_COLUMNS = {"facts": ("summary", "timeline"), "course": ("metrics", SERIAL), "figures": ("limits", "guest", "vmm")}
_COUNTERS = (Column("COUNTER", 0), Column("VALUE", 18, right=True, most=32))
_LIMITS = (Column("LIMIT", 0), Column("VALUE", 10, right=True, most=16), Column("IN USE", 20, right=True, most=24))
_GUEST = (Column("FIGURE", 0), Column("VALUE", 10, right=True, most=16), Column("IN USE", 10, right=True, most=24))


class VmDetailScreen(ModeScreen):
    """Sections one at a time behind tabs, or all at once where the terminal is wide."""

    MODE = "vms"
    PLACE = VM
    CSS_PATH = "../styles/vm_detail.tcss"
    BINDINGS: ClassVar = bindings(VM)
    AUTO_FOCUS = None

    def __init__(self, vm: Vm) -> None:
        super().__init__()
        self._detail = VmDetail(vm=vm, series=())
        self._gone = False
        self.serial = SerialLog(vm.id)
        self._traffic = TrafficRates()
        self._at = 0

    def compose_body(self) -> ComposeResult:
        sections = {
            "summary": Section("Summary", VerticalScroll(DetailPane()), id="summary"),
            "metrics": Section("Metrics", TextGraph(id="cpu"), TextGraph(id="memory"), id="metrics"),
            "timeline": Section("Timeline", VerticalScroll(Timeline()), id="timeline"),
            SERIAL: Section("Serial", OutputView(self.serial.log, hint="nothing was said yet"), id=SERIAL),
            "vmm": Section("VMM", LineTable(_COUNTERS, empty=("…",)), id="vmm"),
            "limits": Section("Limits", LineTable(_LIMITS, empty=("…",)), id="limits"),
            "guest": Section("Guest", LineTable(_GUEST, empty=("…",)), id="guest"),
        }
        self._order = list(sections)
        yield Heading(f"VM {self._detail.vm.id}", id="vm-heading")
        yield SectionTabs([section.title for section in sections.values()])
        yield FilterField()
        with Horizontal(id="sections"):
            for column, names in _COLUMNS.items():
                yield Vertical(*(sections[name] for name in names), id=column, classes="column")

    def on_mount(self) -> None:
        self.set_interval(DRAW_EVERY_S, self._draw_serial)
        self._go(0)
        self._show()

    # --- data

    async def poll(self, api: EngineApi) -> None:
        if self._gone:
            return
        try:
            self._detail = await api.vm(self._detail.vm.id)
        except NotFoundError:
            self._gone = True
        self._show()
        if not self.serial.ended and not any(worker.group == SERIAL for worker in self.workers):
            self.run_worker(self._read_serial(api), group=SERIAL, exit_on_error=False)

    def _show(self) -> None:
        detail = self._detail
        vm = detail.vm
        self._traffic.take([vm])
        state = STATES[vm.state]
        note = (
            f"■ ended after {age(vm.age_s)}, this is the last seen of it"
            if self._gone
            else f"{state.text}, {age(vm.age_s)}"
        )
        self.query_one("#vm-heading", Heading).show(note, "warning" if self._gone else "foreground")
        self.query_one(DetailPane).show(self._summary())
        cpu = [(point.at, point.cpu_percent) for point in detail.series]
        memory = [(point.at, point.memory_private_bytes) for point in detail.series]
        self.query_one("#cpu", TextGraph).show(Course("CPU %", cpu, 100.0 * vm.vcpus, percent))
        self.query_one("#memory", TextGraph).show(
            Course("Private memory", memory, float(vm.memory_mib * MIB), lambda value: size(int(value)))
        )
        self.query_one(Timeline).show(detail.stages)
        no_jail = "" if vm.jailed else "No jail holds this VM, so nothing limits it."
        self._show_figures("vmm", detail.vmm, "The VMM told no figures of its own.")
        self._show_figures("limits", detail.limits, no_jail or "Its limits are not known.")
        self._show_figures("guest", detail.guest, "The guest told nothing.")
        self.update_actions()

    def _summary(self) -> Detail:
        known = summary(self._detail.vm, self._traffic.of(self._detail.vm.id))
        missing = Field("Not known", "\n".join(self._detail.missing), "warning")
        return Detail(known.title, (*known.fields, missing))

    def _show_figures(self, name: str, figures: Sequence[Figure], otherwise: str) -> None:
        table = self.query_one(f"#{name} LineTable", LineTable)
        table.set_empty((otherwise,))
        rows: list[Row] = []
        for at, figure in enumerate(figures):
            cells = (Cell(figure.name), Cell(figure.value), Cell(figure.used, "accent"))
            rows.append(Row(f"{at}:{figure.name}", cells[: len(table.columns)]))
        table.set_rows(rows)

    # --- serial console

    async def _read_serial(self, api: EngineApi) -> None:
        heading = self.query_one(f"#{SERIAL}", Section).heading
        heading.show("")
        try:
            await self.serial.follow(api)
        except VmdeckError as error:
            heading.show(f"✗ {error.message}", "error")
        else:
            heading.show("ended")

    def _draw_serial(self) -> None:
        view = self.query_one(OutputView)
        if view.size and self.app.screen is self and not self.app.output_queued:
            view.flush()

    def on_screen_suspend(self) -> None:
        self.workers.cancel_group(self, SERIAL)

    # --- sections

    @property
    def section(self) -> Section:
        return self.query_one(f"#{self._order[self._at]}", Section)

    def _go(self, index: int) -> None:
        """Make a section the current one, and give it the keys."""
        self._choose(index % len(self._order))
        self.section.take_focus()

    def _choose(self, index: int) -> None:
        self._at = index
        self.query_one(SectionTabs).current = index
        for section in self.query(Section):
            section.make_current(section is self.section)
        for column in self.query(".column"):
            column.set_class(column is self.section.parent, CURRENT)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        widget: Widget = event.widget
        for parent in widget.ancestors:
            if isinstance(parent, Section) and parent.id in self._order:
                self._choose(self._order.index(parent.id))

    def on_section_tabs_picked(self, event: SectionTabs.Picked) -> None:
        self._go(event.index)

    def action_next_section(self) -> None:
        self._go(self._at + 1)

    def action_previous_section(self) -> None:
        self._go(self._at - 1)

    # --- actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        return None if allowed and action == "kill" and self._gone else allowed

    def action_leave(self) -> None:
        self.dismiss()

    def action_copy(self) -> None:
        section = self.section
        if self._order[self._at] == SERIAL:
            text = "\n".join(plain(line.text) for line in self.serial.log.lines)
        else:
            text = "\n".join(widget.text for widget in section.query("*") if isinstance(widget, TextLines | LineTable))
        self.app.copy(text, f"{section.title} of {self._detail.vm.id}")

    def action_copy_id(self) -> None:
        self.app.copy(self._detail.vm.id, f"the id of {self._detail.vm.id}")

    def action_kill(self) -> None:
        vm = self._detail.vm

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._kill(vm.id), "kill")

        self.app.push_screen(ConfirmDialog(f"Kill VM {vm.id}?", vm_kill.consequence([vm]), yes="Kill"), answered)

    async def _kill(self, vm_id: str) -> None:
        api = await self.app.connection.opened()
        self.app.tell(await vm_kill.kill(api, [vm_id]))
        self.action_refresh_now()
