"""Programs for tests, as shell scripts that answer like the real ones."""

from __future__ import annotations

from pathlib import Path

from tests.unit.host.fake_host import write

GOOD_QEMU = """#!/bin/sh
case "$1" in
  --version) echo "QEMU emulator version 9.8.7 (Debian 1:9.8.7)";;
  -accel) echo "Accelerators supported in QEMU binary:"; echo kvm; echo tcg;;
esac
"""


def script(path: Path, text: str) -> Path:
    return write(path, text, mode=0o755)


def install_firecracker(data_dir: Path, version: str = "1.12.1", jailer: str | None = None) -> None:
    """As setup does it."""
    folder = data_dir / "vmm" / f"firecracker-{version}"
    script(folder / "firecracker", f"#!/bin/sh\necho Firecracker v{version}\n")
    script(folder / "jailer", f"#!/bin/sh\necho Jailer v{jailer or version}\n")
