"""What the checks make of the host's memory, and of where guests' memory might go."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from engine.host import memory
from engine.models import Severity
from tests.unit.host.fake_host import surroundings, write

MIB = 1024 * 1024
HEADING = "Filename\tType\tSize\tUsed\tPriority\n"


@pytest.mark.parametrize(
    ("available_mib", "severity"), [(2000, Severity.OK), (400, Severity.DEGRADED), (300, Severity.DEGRADED)]
)
def test_memory_is_weighed_against_what_full_load_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available_mib: int, severity: Severity
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available_mib * MIB))
    found = memory.memory(surroundings(tmp_path, default_memory_mib=256, max_running=4))

    assert found.severity is severity  # not even one fitting is no block: guests seldom touch all they have


def test_reserved_huge_pages_are_memory_that_guests_do_not_get(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    write(around.sys / "kernel" / "mm" / "transparent_hugepage" / "enabled", "always [madvise] never\n")
    meminfo = write(around.proc / "meminfo", "MemTotal: 16 kB\nHugePages_Total:       0\nHugepagesize:    2048 kB\n")
    found = memory.huge_pages(around)
    assert (found.severity, found.seen) == (Severity.OK, "none reserved, and none used; transparent ones: madvise")
    meminfo.write_text("HugePages_Total:     512\nHugepagesize:    2048 kB\n")
    found = memory.huge_pages(around)
    assert (found.severity, found.seen[:24]) == (Severity.INFO, "512 reserved, 1,024 MiB ")


@pytest.mark.parametrize(("run", "severity"), [("0", Severity.OK), ("1", Severity.DEGRADED), ("2", Severity.OK)])
def test_merging_of_pages_is_degraded_while_it_is_on(tmp_path: Path, run: str, severity: Severity) -> None:
    assert memory.ksm(surroundings(tmp_path)).severity is Severity.OK  # a kernel without it
    write(tmp_path / "sys" / "kernel" / "mm" / "ksm" / "run", f"{run}\n")
    assert memory.ksm(surroundings(tmp_path)).severity is severity


@pytest.mark.parametrize(
    ("areas", "severity"),
    [
        ("", Severity.OK),
        ("/dev/zram0 partition 8 0 100\n", Severity.OK),
        ("/dev/dm-7 partition 8 0 -2\n", Severity.OK),
        ("/dev/dm-8 partition 8 0 -2\n", Severity.DEGRADED),
        ("/swapfile file 8 0 -2\n", Severity.DEGRADED),
    ],
)
def test_swap_is_degraded_where_it_leads_to_a_plain_disk(tmp_path: Path, areas: str, severity: Severity) -> None:
    around = surroundings(tmp_path)
    write(around.proc / "swaps", HEADING + areas)
    write(around.sys / "class" / "block" / "dm-7" / "dm" / "uuid", "CRYPT-PLAIN-swap\n")
    write(around.sys / "class" / "block" / "dm-8" / "dm" / "uuid", "LVM-abc\n")
    assert memory.swap(around).severity is severity
