"""The step that loads the kernel modules that VMMs need, now and at every boot.

vhost_vsock is not among them: Firecracker's channel to a guest is a unix socket and QEMU's a virtio serial port, so no
VMM here uses the host kernel's vsock.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.folders import is_root
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.setup import system
from engine.setup.base import Finding, SetupContext, made
from engine.setup.placing import place

STEP = "kvm-modules"
BOOT_FILE = Path("/etc/modules-load.d/vmdeck.conf")
VSOCK = "vhost_vsock is not needed: the VMMs' channels to guests are sockets"
# CPU flags of /proc/cpuinfo, and the module that uses each.
_MODULES = {"vmx": "kvm_intel", "svm": "kvm_amd"}
_MACHINES = ("x86_64", "i686")  # elsewhere KVM is no module of its own


@dataclass(frozen=True, slots=True)
class Kernel:
    """The running kernel, as seen in its files under ``root``."""

    release: str
    root: Path = Path("/")
    machine: str = "x86_64"

    @classmethod
    def running(cls) -> Kernel:
        return cls(os.uname().release, machine=os.uname().machine)

    @property
    def wanted(self) -> str | None:
        """The module for this CPU. None where the CPU offers no virtualization."""
        for line in (self.root / "proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                flags = set(line.split())
                return next((module for flag, module in _MODULES.items() if flag in flags), None)
        return None

    @property
    def folder(self) -> Path:
        return self.root / "lib/modules" / self.release

    def is_builtin(self, module: str) -> bool:
        try:
            names = (self.folder / "modules.builtin").read_text()
        except OSError:
            return False
        return f"/{module}.ko" in names.replace("-", "_")

    def is_loaded(self, module: str) -> bool:
        return (self.root / "sys/module" / module).is_dir()


async def check(ctx: SetupContext) -> Finding:
    kernel = Kernel.running()
    module = kernel.wanted
    if module is None and kernel.machine not in _MACHINES:
        return Finding(False, f"KVM is part of kernels for {kernel.machine}, where they have it; {VSOCK}", skipped=True)
    if module is None:
        return Finding(False, f"this CPU offers no hardware virtualization; {VSOCK}", skipped=True)
    if not kernel.folder.is_dir():
        seen = f"no modules of kernel {kernel.release} are here, as in a container: they are the host's to load"
        return Finding(False, f"{seen}; {VSOCK}", skipped=True)
    if kernel.is_builtin(module):
        return Finding(True, f"{module} is built into the kernel; {VSOCK}")
    would = [] if kernel.is_loaded(module) else [f"modprobe {module}"]
    if _at_boot() != _text(module):
        would.append(f"name {module} in {BOOT_FILE}")
    if would and not is_root():
        now = "is loaded" if kernel.is_loaded(module) else "is not loaded"
        return Finding(False, f"{module} {now}; more needs root: sudo vmdeck setup; {VSOCK}", skipped=True)
    if would:
        return Finding(False, f"{module} is not loaded now and at boot", tuple(would))
    return Finding(True, f"{module} is loaded, now and at boot; {VSOCK}")


async def apply(ctx: SetupContext, progress: Progress) -> None:
    kernel = Kernel.running()
    module = kernel.wanted
    if module is None:
        return
    load = ("modprobe", module)
    system.require_root(load)
    if not kernel.is_loaded(module):
        await in_thread(ctx.record, made(STEP, "module", module))
        await system.as_root(load, progress)
    await in_thread(place, ctx, STEP, BOOT_FILE, _text(module))


def _text(module: str) -> str:
    return f"# By vmdeck: microVMs run on KVM.\n{module}\n"


def _at_boot() -> str | None:
    try:
        return BOOT_FILE.read_text()
    except OSError:
        return None
