"""A jail's limits as the kernel's files have them, in both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models import Figure
from engine.vmm.cgroups import in_use

MIB = 1024 * 1024
V2 = {
    "cpu.max": "150000 100000\n",
    "cpu.stat": "usage_usec 10\nthrottled_usec 2500000\n",
    "memory.max": f"{448 * MIB}\n",
    "memory.current": f"{100 * MIB}\n",
    "pids.max": "81\n",
    "pids.current": "7\n",
}
V1 = {
    "cpu/cpu.cfs_quota_us": "150000\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "cpu/cpu.stat": "nr_periods 9\nthrottled_time 2500000000\n",
    "memory/memory.limit_in_bytes": f"{448 * MIB}\n",
    "memory/memory.usage_in_bytes": f"{100 * MIB}\n",
    "pids/pids.max": "81\n",
    "pids/pids.current": "7\n",
}
EXPECTED = (
    Figure(name="cpu", value="1.5 CPUs", used="throttled for 2.5 s"),
    Figure(name="memory", value="448 MiB", used="100 MiB"),
    Figure(name="threads", value="81", used="7"),
)


def laid(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_version_2_has_them_in_one_folder(tmp_path: Path) -> None:
    assert in_use([laid(tmp_path, V2)]) == EXPECTED


def test_version_1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    laid(tmp_path, V1)
    assert in_use([tmp_path / name for name in ("cpu", "memory", "pids")]) == EXPECTED


def test_a_parent_that_sets_none_does_not_hide_its_childs(tmp_path: Path) -> None:
    child = laid(tmp_path / "parent" / "child", V2)
    parent = laid(tmp_path / "parent", {**V2, "cpu.max": "max 100000\n", "memory.max": "max\n", "pids.max": "max\n"})
    assert in_use([child, parent]) == EXPECTED
    assert {figure.value for figure in in_use([parent])} == {"no limit"}


def test_without_a_group_there_are_none() -> None:
    assert in_use([]) == ()


def test_a_group_that_goes_away_meanwhile_is_an_error_of_the_system(tmp_path: Path) -> None:
    laid(tmp_path, {"memory.max": "max\n"})
    with pytest.raises(OSError, match=r"memory\.current"):
        in_use([tmp_path])
