"""The QEMU command line as data: one function from a VM's description to its arguments.

Descriptors, not paths, connect QEMU to the engine: agent channel, QMP and serial console are ends of socket pairs, so
there is no socket file that anybody else could open or that could be left behind.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.host.tsc import tsc_khz
from engine.vmm.base import VmSpec
from guest.protocol import CHANNEL_NAME

MACHINES = {
    "x86_64": "microvm,pit=on,pic=on,rtc=on,acpi=on,isa-serial=on",
    "aarch64": "virt,gic-version=3",
}
CPU_MODELS = {"tcg": "max", "kvm": "host"}
# Of tcg, and touched only as it fills: a hello fills 25 MiB of any size. A program that imports asyncio, sqlite3,
# unittest and such takes 3.4 s of CPU with 16, 2.1 s with 32, 1.6 s with 64 and with 128.
_TRANSLATION_BUFFER_MIB = 64
# What the machine's serial port is called in its guest: an 8250 here, a PL011 there.
SERIAL_PORTS = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}
_BASE_CMDLINE = "quiet panic=-1 reboot=t"


@dataclass(frozen=True, slots=True)
class Channels:
    """The descriptors that QEMU inherits."""

    agent: int
    qmp: int
    serial: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Guest memory: none of ours (anonymous), or a file, shared (a template writes it) or copy-on-write (a clone).

    The file is one of a path, or that of a descriptor which QEMU inherits.
    """

    path: str | None = None
    shared: bool = False
    fd: int | None = None

    @classmethod
    def of_descriptor(cls, fd: int, *, shared: bool = False) -> Memory:
        return cls(f"/proc/self/fd/{fd}", shared, fd)


def machine_of(architecture: str) -> str:
    return MACHINES[architecture]


def command(
    binary: Path,
    vm_id: str,
    spec: VmSpec,
    channels: Channels,
    *,
    accelerator: str,
    machine: str,
    cpu_model: str,
    memory: Memory,
    incoming: bool = False,
) -> list[str]:
    """Arguments of one QEMU process, itself first.

    An ``incoming`` one waits to be told what state to load; what it booted from is in that state's memory, and giving
    it again would only cost the clone private copies of kernel and initramfs.
    """
    accel = f"tcg,tb-size={_TRANSLATION_BUFFER_MIB}" if accelerator == "tcg" else accelerator
    arguments = [
        str(binary),
        *("-name", f"vmdeck-{vm_id}"),
        *("-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", f"{machine},memory-backend=ram"),
        *("-accel", accel),
        *("-cpu", cpu_model),
        *("-smp", str(spec.vcpus)),
        *("-m", f"{spec.memory_mib}M"),
        *("-object", _memory_object(spec.memory_mib, memory)),
        *(["-incoming", "defer"] if incoming else _boot_source(spec, accelerator)),
        *("-chardev", f"socket,id=qmp,fd={channels.qmp}"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-chardev", f"socket,id=console,fd={channels.serial}"),
        *("-serial", "chardev:console"),
        *("-chardev", f"socket,id=agent,fd={channels.agent}"),
        *("-device", "virtio-serial-device,max_ports=2"),
        *("-device", f"virtserialport,chardev=agent,name={CHANNEL_NAME}"),
        *("-object", "rng-random,id=entropy,filename=/dev/urandom"),
        *("-device", "virtio-rng-device,rng=entropy"),
    ]
    for number, drive in enumerate(spec.drives):
        node = f"drive{number}"
        path = str(drive).replace(",", ",,")
        # Images never change, so nobody waits for a lock of another, such as one of a QEMU that was taken over.
        file = f"file.driver=file,file.locking=off,file.filename={path}"
        arguments += ["-blockdev", f"driver=raw,node-name={node},read-only=on,{file}"]
        arguments += ["-device", f"virtio-blk-device,drive={node}"]
    return arguments


def _boot_source(spec: VmSpec, accelerator: str) -> list[str]:
    """The ELF by PVH, which starts half a second sooner under emulation than the bzImage that unpacks itself."""
    return ["-kernel", str(spec.vmlinux), "-initrd", str(spec.initramfs), "-append", cmdline(spec, accelerator)]


def cmdline(spec: VmSpec, accelerator: str, architecture: str = "") -> str:
    """Kernel command line, for this host's ``architecture`` by default.

    An emulated machine has no clock but its TSC that would keep time on a busy host. There the guest can't find out
    the TSC's rate, and hangs, so it is told; and it must trust it: checking it against timer ticks, of which a busy
    host loses some, it would find the TSC wrong and from then on count those ticks. With KVM the guest asks KVM.
    """
    console = f"console={SERIAL_PORTS[architecture or os.uname().machine]}"
    parts = [console, _BASE_CMDLINE, spec.cmdline]
    if accelerator == "tcg" and (khz := tsc_khz()):
        parts.append(f"tsc_early_khz={khz} tsc=reliable")
    return " ".join(part for part in parts if part)


def _memory_object(size_mib: int, memory: Memory) -> str:
    if memory.path is None:
        return f"memory-backend-ram,id=ram,size={size_mib}M"
    share = "on" if memory.shared else "off"
    path = memory.path.replace(",", ",,")
    return f"memory-backend-file,id=ram,size={size_mib}M,share={share},mem-path={path}"
