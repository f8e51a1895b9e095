"""What the checks make of the kernel: version, control groups, limits, clock."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

import pytest

from engine.host import control_groups, kernel, limits
from engine.models import Severity
from tests.unit.host.fake_host import cgroup_v1, cgroup_v2, surroundings, write


@pytest.mark.parametrize(
    ("release", "severity"),
    [
        ("6.1.0-56-amd64", Severity.OK),
        ("6.12.48+deb13-amd64", Severity.OK),
        ("5.4.0-200-generic", Severity.DEGRADED),
        ("4.18.0-553.el8", Severity.DEGRADED),
        ("mainline", Severity.INFO),
    ],
)
def test_a_kernel_older_than_firecracker_is_tested_on_is_degraded(
    tmp_path: Path, release: str, severity: Severity
) -> None:
    write(tmp_path / "proc" / "sys" / "kernel" / "osrelease", f"{release}\n")
    found = kernel.version(surroundings(tmp_path))
    assert found.severity is severity
    assert found.seen.startswith(release)


@pytest.mark.parametrize(("switch", "severity"), [("0", Severity.OK), ("1", Severity.INFO), (None, Severity.OK)])
def test_userfaultfd_for_everyone_is_worth_knowing(tmp_path: Path, switch: str | None, severity: Severity) -> None:
    if switch is not None:
        write(tmp_path / "proc" / "sys" / "vm" / "unprivileged_userfaultfd", f"{switch}\n")
    found = kernel.userfaultfd(surroundings(tmp_path))
    assert found.severity is severity
    assert ("not in this kernel" in found.seen) == (switch is None)


def test_the_clock_check_reads_the_kernel_without_changing_it(tmp_path: Path) -> None:
    found = kernel.clock(surroundings(tmp_path))
    assert found.severity in (Severity.OK, Severity.INFO)
    assert "the kernel does not tell" not in found.seen
    assert ctypes.sizeof(kernel.Timex) >= 208  # the kernel writes this much


# --- control groups


async def test_version_2_with_all_controllers_is_fine(tmp_path: Path) -> None:
    cgroup_v2(tmp_path)
    assert (await control_groups.control_groups(surroundings(tmp_path, kvm="native"))).severity is Severity.OK


async def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    cgroup_v2(tmp_path, "cpu memory")
    found = await control_groups.control_groups(surroundings(tmp_path))
    assert (found.severity, found.seen) == (Severity.DEGRADED, "v2, without pids")


async def test_no_control_groups_at_all_are_degraded(tmp_path: Path) -> None:
    write(tmp_path / "proc" / "mounts", "proc /proc proc rw 0 0\n")
    found = await control_groups.control_groups(surroundings(tmp_path))
    assert (found.severity, found.seen) == (Severity.DEGRADED, "none, without cpu, memory, pids")


async def test_version_1_costs_something_only_where_firecracker_runs(tmp_path: Path) -> None:
    cgroup_v1(tmp_path, "cpu", "memory", "pids")
    native = await control_groups.control_groups(surroundings(tmp_path, kvm="native"))
    assert (native.severity, native.seen[:2]) == (Severity.DEGRADED, "v1")
    assert "slower" in native.seen
    emulated = await control_groups.control_groups(surroundings(tmp_path, kvm="emulated"))
    assert (emulated.severity, emulated.seen[:2]) == (Severity.INFO, "v1")


async def test_version_1_without_a_controller_is_degraded(tmp_path: Path) -> None:
    cgroup_v1(tmp_path, "cpu", "pids")
    found = await control_groups.control_groups(surroundings(tmp_path))
    assert (found.severity, found.seen) == (Severity.DEGRADED, "v1, without memory")


# --- limits


@pytest.mark.parametrize("look", [limits.open_files, limits.processes])
@pytest.mark.parametrize(
    ("soft", "severity"),
    [(100, Severity.DEGRADED), (100_000, Severity.OK), (resource.RLIM_INFINITY, Severity.OK)],
)
def test_limits_are_weighed_against_full_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: object, soft: int, severity: Severity
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert callable(look)
    assert look(surroundings(tmp_path, max_running=4)).severity is severity


def test_a_host_with_few_process_ids_is_degraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100_000, 100_000))
    write(tmp_path / "proc" / "sys" / "kernel" / "pid_max", "301\n")
    found = limits.processes(surroundings(tmp_path, max_running=32))
    assert found.severity is Severity.DEGRADED
    assert "pid_max" in found.remedy
