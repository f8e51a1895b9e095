"""Live microVMs: what runs, what it uses, and the key that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from console import vm_kill
from console.actions import bindings
from console.quantities import count, mebibytes, percent, rate, short_age, size
from console.screens.confirm import ConfirmDialog
from console.screens.confirm_count import ConfirmCountDialog
from console.screens.detail import DetailDialog
from console.screens.list_screen import ListScreen
from console.screens.vm_detail import VmDetailScreen
from console.vm_facts import STATES, summary
from console.vm_traffic import TrafficRates
from console.widgets.detail_pane import Detail
from console.widgets.line_table import Cell, Column, Row
from engine.api import EngineApi
from engine.models import Vm, VmState

AGE_EVERY_S = 1.0


class VmsScreen(ListScreen[Vm]):
    """Ages go on by the local clock between two answers of the engine, in the rows that are seen."""

    MODE = "vms"
    BINDINGS: ClassVar = bindings("vms")
    HEADING = "VMs"
    COLUMNS = (
        Column("VM", 12, most=24),
        Column("LANGUAGE", 10, priority=8, most=12),
        Column("STATE", 10),
        Column("AGE", 6, right=True, priority=7, live=True),
        Column("CPU%", 4, right=True, priority=8, live=True),
        Column("PRIVATE", 7, right=True, priority=6, live=True),
        Column("SHARED", 6, right=True, priority=4, live=True),
        Column("DISK/S", 6, right=True, priority=6, live=True),
        Column("LINK/S", 6, right=True, priority=5, live=True),
        Column("SIZE", 6, right=True, priority=2),
        Column("VCPU", 4, right=True, priority=2),
        Column("VMM", 14, priority=3),
        Column("RUN", 0, priority=7),
    )
    EMPTY = ("No VM is alive.", "Each run gets one of its own, for as long as it lasts: 5 opens the scratchpad.")
    NEEDS_ROW = frozenset(("detail", "kill", "copy"))
    MARKABLE = True

    def __init__(self) -> None:
        super().__init__()
        self._traffic = TrafficRates()
        self._asked_at: datetime | None = None

    def on_mount(self) -> None:
        self.set_interval(AGE_EVERY_S, self._count_ages)

    async def fetch(self, api: EngineApi) -> Sequence[Vm]:
        vms = await api.vms()
        self._traffic.take(vms)
        self._asked_at = self.app.now()
        return vms

    def key_of(self, item: Vm) -> str:
        return item.id

    def row_of(self, item: Vm) -> Row:
        age_s = self._age_s(item)
        traffic = self._traffic.of(item.id)
        return Row(
            item.id,
            (
                Cell(item.id),
                Cell(item.language or "-"),
                STATES[item.state],
                Cell(short_age(age_s), "muted", age_s),
                Cell(percent(item.cpu_percent), value=item.cpu_percent),
                Cell(mebibytes(item.memory_private_bytes), value=item.memory_private_bytes),
                Cell(mebibytes(item.memory_shared_bytes), value=item.memory_shared_bytes),
                Cell(rate(traffic.disk), value=traffic.disk),
                Cell(rate(traffic.link), value=traffic.link),
                Cell(f"{item.memory_mib}M", value=item.memory_mib),
                Cell(str(item.vcpus), value=item.vcpus),
                Cell(f"{item.vmm} {item.accelerator}", "muted")
                if item.jailed
                else Cell(f"! unjailed {item.vmm}", "error"),
                Cell(item.trace_id or item.purpose, "muted"),
            ),
        )

    def _age_s(self, vm: Vm) -> float:
        since = (self.app.now() - self._asked_at).total_seconds() if self._asked_at is not None else 0
        return vm.age_s + max(0, since)

    def _count_ages(self) -> None:
        if self.app.screen is self and not self.app.output_queued:
            self.table.update_rows([self.row_of(self._items[key]) for key in self.table.keys_in_view])

    def note_of(self, items: Sequence[Vm]) -> str:
        if not items:
            return ""
        private = sum(vm.memory_private_bytes or 0 for vm in items)
        running = sum(vm.state is VmState.RUNNING for vm in items)
        return f"{count(len(items), 'VM')}, {running} running, {size(private)} private"

    def detail_of(self, item: Vm) -> Detail:
        return summary(item, self._traffic.of(item.id))

    # --- actions

    def action_detail(self) -> None:
        """What is inside a VM is the operator's only; a viewer is told what the list knows of it."""
        if (vm := self.current) is not None:
            viewer = self.app.rights.viewer
            self.app.push_screen(DetailDialog(self.detail_of(vm)) if viewer else VmDetailScreen(vm))

    def action_copy(self) -> None:
        vms = self.targets
        what = f"the id of {vms[0].id}" if len(vms) == 1 else f"{count(len(vms), 'id')} of VMs"
        self.app.copy("\n".join(vm.id for vm in vms), what)

    def action_kill(self) -> None:
        vms = self.targets

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._kill([vm.id for vm in vms]), "kill")

        text = vm_kill.consequence(vms)
        if len(vms) == 1:
            self.app.push_screen(ConfirmDialog(f"Kill VM {vms[0].id}?", text, yes="Kill"), answered)
        else:
            dialog = ConfirmCountDialog(f"Kill {len(vms)} VMs?", text, count=len(vms), yes=f"Kill {len(vms)}")
            self.app.push_screen(dialog, answered)

    async def _kill(self, vm_ids: Sequence[str]) -> None:
        api = await self.app.connection.opened()
        try:
            self.app.tell(await vm_kill.kill(api, vm_ids))
        finally:
            self.action_refresh_now()
