"""What dead VMs left is named with what removes it; what belongs to the living is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.host.finding import Surroundings, ok
from engine.host.owner import OWNER_FILE, claim
from engine.host.remains import remains
from engine.models import Severity
from tests.unit.host.fake_host import cgroup_v1, cgroup_v2, surroundings, write

DEAD = f"{os.getpid()} 1"  # a pid in use, by a process that began later than this note says


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    cgroup_v2(tmp_path)
    return surroundings(tmp_path)


def home(around: Surroundings, name: str) -> Path:
    path = around.settings.vms_dir / name
    path.mkdir(parents=True)
    return path


def group(around: Surroundings, name: str, members: str = "") -> Path:
    return write(around.sys / "fs" / "cgroup" / f"vmdeck-{name}" / "cgroup.procs", members).parent


def test_a_host_without_any_is_clean(around: Surroundings) -> None:
    assert remains(around) == ok("none")


def test_all_that_a_living_engine_has_is_its_own(around: Surroundings) -> None:
    claim(home(around, "v1"))
    (around.settings.jails_dir / "firecracker" / "v1" / "root").mkdir(parents=True)
    group(around, "v1")
    assert remains(around) == ok("none")


def test_vms_of_a_dead_engine_are_named_for_the_next_to_remove(around: Surroundings) -> None:
    claim(home(around, "v1"))
    (home(around, "v2") / OWNER_FILE).write_text(DEAD)
    found = remains(around)
    assert (found.severity, found.remedy) == (Severity.DEGRADED, "")
    assert found.seen.endswith(": v2")


def test_a_jail_that_no_home_knows_is_for_the_operator_to_remove(around: Surroundings) -> None:
    (around.settings.jails_dir / "firecracker" / "v9" / "root").mkdir(parents=True)
    found = remains(around)
    assert found.severity is Severity.DEGRADED
    assert found.seen.endswith(": v9")
    assert "rm -r" in found.remedy


def test_an_empty_control_group_that_no_home_knows_is_worth_knowing(around: Surroundings) -> None:
    group(around, "v7")
    found = remains(around)
    assert found.severity is Severity.INFO
    assert found.seen.endswith(": vmdeck-v7")
    assert "-delete" in found.remedy


def test_a_control_group_in_use_is_none_of_the_dead(around: Surroundings) -> None:
    top = group(around, "v7")
    write(top / "inner" / "cgroup.procs", f"{os.getpid()}\n")
    assert remains(around) == ok("none")


def test_one_group_of_version_1_is_named_once_for_all_its_controllers(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    top = cgroup_v1(tmp_path, "cpu", "memory", "pids")
    for name in ("cpu", "memory", "pids"):
        write(top / name / "vmdeck-v7" / "cgroup.procs")
    assert remains(around).seen.endswith(": vmdeck-v7")


def test_a_home_that_nobody_signed_is_worth_knowing(around: Surroundings) -> None:
    home(around, "v3")
    found = remains(around)
    assert (found.severity, found.seen.endswith(": v3")) == (Severity.INFO, True)
