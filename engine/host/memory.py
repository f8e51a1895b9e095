"""Checks of the host's memory: how much there is, and where that of guests might go."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kernel_file import told

_VMM_OVERHEAD_MIB = 96  # QEMU itself, beside the guest's memory
_MIB = 1024 * 1024
_KSM_MERGES = "1"
_IN_MEMORY = "/dev/zram"
_ENCRYPTED = "CRYPT-"  # how the device mapper's name for an encrypted volume begins


def memory(around: Surroundings) -> Finding:
    available = psutil.virtual_memory().available // _MIB
    one_vm = around.settings.default_memory_mib + _VMM_OVERHEAD_MIB
    wanted = one_vm * around.settings.max_running
    seen = f"{available:,} MiB available; {around.settings.max_running} VMs at once may take {wanted:,} MiB"
    if available >= wanted:
        return ok(seen)
    if available >= one_vm:
        return degraded(seen, f"Lower max_running to {available // one_vm}, or free memory.")
    return degraded(f"{seen}; not even one fits", "Free memory, or lower default_memory_mib.")


def huge_pages(around: Surroundings) -> Finding:
    """Reserved ones are for programs that ask for them, and vmdeck does not."""
    facts = dict(re.findall(r"^(\w+):\s+(\d+)", (around.proc / "meminfo").read_text(), re.MULTILINE))
    reserved, size_kib = int(facts.get("HugePages_Total", 0)), int(facts.get("Hugepagesize", 0))
    if reserved:
        return info(
            f"{reserved} reserved, {reserved * size_kib // 1024:,} MiB that microVMs can't use",
            "As root, if nothing else needs them: sysctl vm.nr_hugepages=0",
        )
    modes = told(around.sys / "kernel" / "mm" / "transparent_hugepage" / "enabled") or ""
    chosen = re.search(r"\[(\w+)\]", modes)
    return ok(f"none reserved, and none used{f'; transparent ones: {chosen[1]}' if chosen else ''}")


def ksm(around: Surroundings) -> Finding:
    state = told(around.sys / "kernel" / "mm" / "ksm" / "run")
    if state is None:
        return ok("not in this kernel")
    return degraded("on: equal pages of different guests are merged") if state == _KSM_MERGES else ok("off")


def swap(around: Surroundings) -> Finding:
    areas = [line.split()[0] for line in (around.proc / "swaps").read_text().splitlines()[1:]]
    plain = [area for area in areas if not area.startswith(_IN_MEMORY) and not _is_encrypted(around, area)]
    if plain:
        return degraded(f"on {', '.join(plain)}, not encrypted: memory of guests may be written there")
    return ok(f"{', '.join(areas)}: in memory or encrypted" if areas else "none")


def _is_encrypted(around: Surroundings, area: str) -> bool:
    block = around.sys / "class" / "block" / Path(area).resolve().name
    return (told(block / "dm" / "uuid") or "").startswith(_ENCRYPTED)
