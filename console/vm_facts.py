"""What the console says about a VM in words: its state, and all that is known of it as labelled lines."""

from __future__ import annotations

from console.quantities import count, moment, percent, rate, size
from console.vm_traffic import Traffic
from console.widgets.detail_pane import Detail, Field
from console.widgets.rows import Cell
from engine.models import Vm, VmState

STATES = {
    VmState.STARTING: Cell("◐ starting", "accent"),
    VmState.READY: Cell("○ ready", "muted"),
    VmState.RUNNING: Cell("● running", "ok"),
    VmState.STOPPING: Cell("… stopping", "warning"),
}


def summary(vm: Vm, traffic: Traffic) -> Detail:
    return Detail(
        f"VM {vm.id}",
        (
            Field("VM", vm.id),
            Field("State", vm.state.value),
            Field("Purpose", vm.purpose),
            Field("Run", vm.trace_id or ""),
            Field("Language", vm.language or ""),
            Field("Image", vm.image or ""),
            Field("Snapshot", vm.snapshot or "none, booted cold"),
            Field("VMM", f"{vm.vmm} with {vm.accelerator}"),
            Field("Jail", vm.jail if vm.jailed else f"none: {vm.jail}", "foreground" if vm.jailed else "error"),
            Field("Process", str(vm.pid) if vm.pid else "none yet"),
            Field("Size", f"{vm.memory_mib} MiB, {count(vm.vcpus, 'vCPU')}"),
            Field("CPU", "" if vm.cpu_percent is None else f"{percent(vm.cpu_percent)} %"),
            Field("Memory", _pair(vm.memory_private_bytes, "private", vm.memory_shared_bytes, "shared")),
            Field("Disk", _pair(vm.disk_read_bytes, "read", vm.disk_written_bytes, "written", traffic.disk)),
            Field("Link", _pair(vm.link_in_bytes, "in", vm.link_out_bytes, "out", traffic.link)),
            Field("Started", moment(vm.started)),
        ),
    )


def _pair(first: int | None, one: str, second: int | None, other: str, per_s: float | None = None) -> str:
    """``12 MiB read, 0 B written, 43K/s now``; empty where nothing is known."""
    if first is None and second is None:
        return ""
    now = f", {rate(per_s)}/s now" if per_s is not None else ""
    return f"{size(first)} {one}, {size(second)} {other}{now}"
