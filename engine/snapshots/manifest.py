"""What a snapshot was made of and whether it fits this host: restore refuses what does not, with the reason."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import Field

from engine.models import Name, Value
from guest.protocol import PROTOCOL_VERSION

MANIFEST = "manifest.json"
# Rises with every change of how a machine is built (devices, kernel command line): older snapshots carry the old one.
FORMAT = 2
STATE, MEMORY = "state", "memory"


class FileRecord(Value):
    """A file as it was written. Size, time and inode tell cheaply that it still is; the digest tells for sure."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int

    def __str__(self) -> str:
        return f"{self.size} bytes, SHA-256 {self.sha256}"


class SnapshotManifest(Value):
    format: int = 1
    name: Name
    language: str
    warm: str
    created: datetime
    image: str
    image_digest: str
    kernel: str
    kernel_sha256: str
    initramfs_digest: str
    cmdline: str
    vmm: str
    vmm_version: str
    accelerator: str
    machine: str
    cpu_model: str
    host_cpu: str
    memory_mib: int = Field(ge=64, le=65536)
    vcpus: int = Field(ge=1, le=32)
    protocol_version: int = PROTOCOL_VERSION
    state: FileRecord
    memory: FileRecord

    def as_text(self) -> dict[str, str]:
        """Each field for people, in its order."""
        return {name: str(value) for name, value in self}


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a snapshot has to fit: this host's VMM, CPU and guest artefacts."""

    vmm: str
    vmm_version: str
    accelerator: str
    host_cpu: str
    kernel_sha256: str
    initramfs_digest: str


def misfit(manifest: SnapshotManifest, facts: HostFacts, image_digest: str | None) -> str | None:
    """Why the snapshot can't be restored here, None where it can. ``image_digest``: of the image of its name, now."""
    pairs = (
        ("the snapshot format", str(manifest.format), str(FORMAT)),
        ("the guest protocol", str(manifest.protocol_version), str(PROTOCOL_VERSION)),
        ("the image", manifest.image_digest, image_digest or "(gone)"),
        ("the kernel", manifest.kernel_sha256, facts.kernel_sha256),
        ("the initramfs", manifest.initramfs_digest, facts.initramfs_digest),
        ("the VMM", manifest.vmm, facts.vmm),
        ("the VMM's version", manifest.vmm_version, facts.vmm_version),
        ("the accelerator", manifest.accelerator, facts.accelerator),
        ("the CPU", manifest.host_cpu, facts.host_cpu),
    )
    for what, made_with, now in pairs:
        if made_with != now:
            return f"it was made with another state of {what}: {_short(made_with)}, here it is {_short(now)}"
    return None


def host_cpu() -> str:
    """Model of this host's CPU, as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _short(value: str) -> str:
    return value if len(value) < 40 else value[:12] + "…"
