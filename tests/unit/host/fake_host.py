"""A host made of files below a folder, for checks to look at."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.host.finding import Surroundings
from engine.host.kvm import KvmKind, KvmVerdict
from engine.settings import Settings


def settings_at(root: Path, **more: object) -> Settings:
    return Settings.model_validate({"data_dir": root / "data", "runtime_dir": root / "run", **more})


def surroundings(
    root: Path, *, kvm: KvmKind | KvmVerdict = "absent", on: str = "x86_64", **more: object
) -> Surroundings:
    """A host whose kernel and system folders are below ``root``; ``more`` are settings."""
    verdict = kvm if isinstance(kvm, KvmVerdict) else KvmVerdict(kind=kvm, detail="the evidence")
    return Surroundings(
        settings_at(root, **more),
        kvm=lambda: asyncio.sleep(0, verdict),
        machine=on,
        kvm_device=root / "dev" / "kvm",
        proc=root / "proc",
        sys=root / "sys",
        dev=root / "dev",
        etc=root / "etc",
        run=root / "run",
        modules=root / "lib" / "modules",
    )


def write(path: Path, text: str = "", *, mode: int = 0o644) -> Path:
    """A file with all folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def cpuinfo(root: Path, flags: str) -> None:
    write(root / "proc" / "cpuinfo", f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")


def cgroup_v2(root: Path, controllers: str = "cpuset cpu io memory hugetlb pids") -> Path:
    mount = root / "sys" / "fs" / "cgroup"
    write(mount / "cgroup.controllers", f"{controllers}\n")
    write(root / "proc" / "mounts", f"cgroup2 {mount} cgroup2 rw,nosuid 0 0\n")
    return mount


def cgroup_v1(root: Path, *controllers: str) -> Path:
    """Mounted one by one, with a version 2 that has none of them beside."""
    top = root / "sys" / "fs" / "cgroup"
    mounts = [f"cgroup {top / name} cgroup rw,relatime,{name} 0 0" for name in controllers]
    for name in controllers:
        (top / name).mkdir(parents=True)
    write(top / "unified" / "cgroup.controllers", "hugetlb\n")
    write(root / "proc" / "mounts", "\n".join([*mounts, f"cgroup2 {top / 'unified'} cgroup2 rw 0 0", ""]))
    return top
