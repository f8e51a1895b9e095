"""A place to start Firecracker in: its folders, what it boots from, its drivers, and a look for what they left."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from engine.settings import Settings
from engine.vmm.base import MachineState, SavedState, VmSpec
from engine.vmm.cgroups import Cgroups
from engine.vmm.firecracker import Firecracker
from engine.vmm.jailer import JailPolicy
from tests.firecracker_release import VERSION

UIDS = range(210_000, 210_032)
GID = 210_000
EARLY_CONSOLE = "loglevel=8 earlyprintk=ttyS0"


@dataclass(frozen=True)
class Lab:
    """``home`` is a short folder of the test's own. Paths only, so that another process can be given the same one."""

    home: Path
    binaries: Path
    vmlinux: Path
    initramfs: Path
    cgroup_prefix: str = field(default_factory=lambda: f"vmdeck-test-{secrets.token_hex(4)}")

    @property
    def settings(self) -> Settings:
        return Settings(
            data_dir=self.home / "data", runtime_dir=self.home / "run", boot_deadline_s=1.5, restore_deadline_s=1.5
        )

    @property
    def jails(self) -> JailPolicy:
        return JailPolicy(
            jailer=self.binaries / "jailer",
            binary=self.binaries / "firecracker",
            base=self.settings.jails_dir,
            uids=UIDS,
            gid=GID,
            cgroups=Cgroups.of_host(),
            cgroup_prefix=self.cgroup_prefix,
        )

    @property
    def drive(self) -> Path:
        return self.home / "drive.img"

    def furnish(self) -> None:
        self.jails.base.mkdir(parents=True)
        self.drive.write_bytes(bytes(1024 * 1024))

    def spec(self, cmdline: str = "") -> VmSpec:
        return VmSpec(128, 1, self.vmlinux, self.vmlinux, self.initramfs, cmdline, (self.drive,))

    def driver(self, *, jailed: bool) -> Firecracker:
        jails = self.jails if jailed else None
        return Firecracker(self.settings, self.binaries / "firecracker", VERSION, jails=jails)

    def remains(self, vm_id: str) -> list[str]:
        """Processes, folders and control groups of a VM."""
        groups = [group.parent for group in self.cgroups(vm_id)]
        places = (self.settings.vms_dir / vm_id, self.jails.base / "firecracker" / vm_id, *groups)
        return [f"process {pid}" for pid in self.processes(vm_id)] + [str(path) for path in places if path.exists()]

    def processes(self, vm_id: str) -> list[int]:
        """Of the VM: jailer or Firecracker that has its id as an argument."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and vm_id.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while we looked
        return [pid for pid in found if pid != os.getpid()]

    def cgroups(self, vm_id: str) -> tuple[Path, ...]:
        """Those that the process is in."""
        return Cgroups.of_host().folders(f"{self.cgroup_prefix}-{vm_id}/{vm_id}")


def machine_state(spec: VmSpec, saved: SavedState) -> MachineState:
    return MachineState(spec, saved.cpu_model, saved.machine, saved.state, saved.memory)
