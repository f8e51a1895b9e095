"""Checks of the kernel's control groups: which version has what vmdeck limits by, and whether it may be written.

The groups around a VMM are made elsewhere (vmm/cgroups.py); here is only looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kernel_file import told

CONTROLLERS = ("cpu", "memory", "pids")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where the controllers are: one mount of version 2, or one or more of version 1; those missing are left out."""

    version: int
    mounts: Mapping[str, Path]

    @property
    def missing(self) -> list[str]:
        return [name for name in CONTROLLERS if name not in self.mounts]

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(self.mounts.values()))


def hierarchy(around: Surroundings) -> Hierarchy:
    return hierarchy_of(around.proc / "mounts")


def hierarchy_of(mounts: Path) -> Hierarchy:
    """Version 2 where it has every controller, else version 1 where it has any, else what version 2 has."""
    rows = [line.split() for line in mounts.read_text().splitlines()]
    new = next((_new(Path(row[1])) for row in rows if row[2] == "cgroup2"), Hierarchy(2, {}))
    old: dict[str, Path] = {}
    for row in rows:
        if row[2] == "cgroup":
            old |= {name: Path(row[1]) for name in CONTROLLERS if name in row[3].split(",")}
    return Hierarchy(1, old) if new.missing and old else new


def _new(mount: Path) -> Hierarchy:
    there = (told(mount / "cgroup.controllers") or "").split()
    return Hierarchy(2, {name: mount for name in CONTROLLERS if name in there})


async def control_groups(around: Surroundings) -> Finding:
    found = hierarchy(around)
    if found.missing:
        return degraded(f"{f'v{found.version}' if found.mounts else 'none'}, without {', '.join(found.missing)}")
    if found.version == 2:
        return ok("v2")
    if (await around.kvm()).kind == "native":
        return degraded(
            "v1: limits hold, but Firecracker restores snapshots slower than with v2",
            "Boot the host with systemd.unified_cgroup_hierarchy=1.",
        )
    return info("v1: limits hold; with Firecracker restores would be slower than with v2")
