"""Live microVMs: what runs, what it uses, and the key that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from console.actions import bindings
from console.quantities import count, mebibytes, moment, percent, short_age, size
from console.screens.confirm import ConfirmDialog
from console.screens.list_screen import ListScreen
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column, Row
from engine.api import EngineApi
from engine.models import Vm, VmState

_STATES = {
    VmState.STARTING: Cell("◐ starting", "accent"),
    VmState.READY: Cell("○ ready", "muted"),
    VmState.RUNNING: Cell("● running", "ok"),
    VmState.STOPPING: Cell("… stopping", "warning"),
}


class VmsScreen(ListScreen[Vm]):
    MODE = "vms"
    BINDINGS: ClassVar = bindings("vms")
    HEADING = "VMs"
    COLUMNS = (
        Column("VM", 12, most=24),
        Column("LANGUAGE", 8, priority=8, most=12),
        Column("STATE", 10),
        Column("AGE", 6, right=True, priority=7),
        Column("CPU %", 5, right=True, priority=8),
        Column("PRIVATE", 7, right=True, priority=6),
        Column("SHARED", 6, right=True, priority=5),
        Column("SIZE", 6, right=True, priority=2),
        Column("VCPU", 4, right=True, priority=2),
        Column("VMM", 14, priority=2),
        Column("RUN", 0, priority=4),
    )
    EMPTY = ("No VM is alive.", "Each run gets one of its own, for as long as it lasts: 5 opens the scratchpad.")
    NEEDS_ROW = frozenset(("detail", "kill"))

    async def fetch(self, api: EngineApi) -> Sequence[Vm]:
        return await api.vms()

    def key_of(self, item: Vm) -> str:
        return item.id

    def row_of(self, item: Vm) -> Row:
        return Row(
            item.id,
            (
                Cell(item.id),
                Cell(item.language or "-"),
                _STATES[item.state],
                Cell(short_age(item.age_s), "muted"),
                Cell(percent(item.cpu_percent)),
                Cell(mebibytes(item.memory_private_bytes)),
                Cell(mebibytes(item.memory_shared_bytes)),
                Cell(f"{item.memory_mib}M"),
                Cell(str(item.vcpus)),
                Cell(f"{item.vmm} {item.accelerator}", "muted")
                if item.jailed
                else Cell(f"! unjailed {item.vmm}", "error"),
                Cell(item.trace_id or item.purpose, "muted"),
            ),
        )

    def note_of(self, items: Sequence[Vm]) -> str:
        if not items:
            return ""
        private = sum(vm.memory_private_bytes or 0 for vm in items)
        running = sum(vm.state is VmState.RUNNING for vm in items)
        return f"{count(len(items), 'VM')}, {running} running, {size(private)} private"

    def detail_of(self, item: Vm) -> Detail:
        return Detail(
            f"VM {item.id}",
            (
                Field("VM", item.id),
                Field("State", item.state.value),
                Field("Purpose", item.purpose),
                Field("Run", item.trace_id or ""),
                Field("Language", item.language or ""),
                Field("Image", item.image or ""),
                Field("Snapshot", item.snapshot or "none, booted cold"),
                Field("VMM", f"{item.vmm} with {item.accelerator}"),
                Field(
                    "Jail", item.jail if item.jailed else f"none: {item.jail}", "foreground" if item.jailed else "error"
                ),
                Field("Process", str(item.pid) if item.pid else "none yet"),
                Field("Size", f"{item.memory_mib} MiB, {count(item.vcpus, 'vCPU')}"),
                Field("CPU", f"{percent(item.cpu_percent)} %"),
                Field("Memory", f"{size(item.memory_private_bytes)} private, {size(item.memory_shared_bytes)} shared"),
                Field("Started", moment(item.started)),
            ),
        )

    def action_kill(self) -> None:
        if (vm := self.current) is None:
            return
        serves = f"The run {vm.trace_id} in it ends as killed." if vm.trace_id else f"It was started for: {vm.purpose}."

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._kill(vm.id), "kill")

        self.app.push_screen(ConfirmDialog(f"Kill VM {vm.id}?", serves, yes="Kill"), answered)

    async def _kill(self, vm_id: str) -> None:
        api = await self.app.connection.opened()
        await api.kill_vm(vm_id)
        self.app.tell(f"VM {vm_id} was killed.")
        self.action_refresh_now()
