"""What Firecracker is told, call by call, to boot, save and load a machine.

Files are names in the VM's own folder, never paths of this host: they end up inside snapshots. Every drive is
read-only, and there is no network device.
"""

from __future__ import annotations

import platform
from pathlib import Path

from engine.errors import NotReadyError
from engine.host.firecracker_release import has
from engine.vmm import firecracker_api as api
from engine.vmm.base import MachineState, VmSpec
from engine.vmm.firecracker_api import FirecrackerApi

VSOCK = "v.sock"
SAVED_STATE, SAVED_MEMORY = "saved-state", "saved-memory"
_KERNEL, _INITRAMFS, _STATE, _MEMORY = "vmlinux", "initramfs", "state", "memory"
_ELF = b"\x7fELF"
_GUEST_CID = 3  # the lowest there is; each VM has a vsock of its own, so all may have the same
_BASE_CMDLINE = "console=ttyS0 quiet reboot=k panic=-1 pci=off"  # a guest that reboots or panics ends its VMM


def refuse_unfit_kernel(kernel: Path, processor: str = "") -> None:
    """Raises NotReadyError for a format that Firecracker does not load on this ``processor``, where it can be told."""
    if (processor or platform.machine()) != "aarch64" or not kernel.is_file():
        return
    with kernel.open("rb") as file:
        if file.read(len(_ELF)) == _ELF:
            raise NotReadyError(
                f"Firecracker can't boot {kernel} on aarch64: it is an ELF file, and there it loads an Image only",
                remedy='Use a kernel of the format Image (a PE file), or QEMU: vmm = "qemu".',
            )


def boot_files(spec: VmSpec) -> dict[str, Path]:
    """What ``boot`` needs in the folder, by name."""
    return {_KERNEL: spec.vmlinux, _INITRAMFS: spec.initramfs, **_drives(spec)}


def saved_files(saved: MachineState) -> dict[str, Path]:
    """What ``load`` needs in the folder, by name."""
    return {_STATE: saved.state, _MEMORY: saved.memory, **_drives(saved.spec)}


def _drives(spec: VmSpec) -> dict[str, Path]:
    return {f"drive{number}": drive for number, drive in enumerate(spec.drives)}


async def boot(client: FirecrackerApi, spec: VmSpec, cpu_template: str) -> None:
    """Build the machine and start it."""
    machine = api.MachineConfig(vcpu_count=spec.vcpus, mem_size_mib=spec.memory_mib, smt=False)
    if cpu_template:
        machine["cpu_template"] = cpu_template
    cmdline = f"{_BASE_CMDLINE} {spec.cmdline}".strip()
    await client.send(api.machine_config, machine)
    await client.send(
        api.boot_source, api.BootSource(kernel_image_path=_KERNEL, initrd_path=_INITRAMFS, boot_args=cmdline)
    )
    for name in _drives(spec):
        await client.send(
            api.drive, api.Drive(drive_id=name, path_on_host=name, is_root_device=False, is_read_only=True)
        )
    await client.send(api.vsock, api.Vsock(guest_cid=_GUEST_CID, uds_path=VSOCK))
    await client.send(api.entropy, api.Nothing())
    await client.send(api.action, api.Action(action_type="InstanceStart"))


async def save(client: FirecrackerApi) -> None:
    """Write ``SAVED_STATE`` and ``SAVED_MEMORY``. The machine stays paused: releases differ in whether its vsock
    lives through being resumed."""
    await client.send(api.vm_state, api.VmState(state="Paused"))
    await client.send(
        api.create_snapshot,
        api.SnapshotCreate(snapshot_type="Full", snapshot_path=SAVED_STATE, mem_file_path=SAVED_MEMORY),
    )


async def load(client: FirecrackerApi, version: str) -> None:
    """Load and run. Memory is mapped privately, so clones share what none of them wrote."""
    memory = api.MemoryBackend(backend_type="File", backend_path=_MEMORY)
    wanted = api.SnapshotLoad(snapshot_path=_STATE, mem_backend=memory, resume_vm=True)
    if has(version, "vsock_override"):  # an older one opens the name in the state, which is the same
        wanted["vsock_override"] = api.VsockOverride(uds_path=VSOCK)
    if has(version, "clock_realtime"):
        # Never true: it would also move the guest's monotonic clock ahead by the age of the snapshot, so that all its
        # timers fire at once; it works on x86_64 with kvm-clock and Linux 5.16 only, and fails where the snapshot was
        # made without. The agent's resync steps the wall clock before any code runs, on every host and with every VMM.
        wanted["clock_realtime"] = False
    await client.send(api.load_snapshot, wanted)
