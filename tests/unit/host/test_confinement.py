"""Whether VMM processes can be confined here is told with what stands in the way."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.host import confinement
from engine.host.choice import Chosen
from engine.host.confinement import jail
from engine.host.programs import Program
from engine.models import Severity, VmmChoice
from tests.unit.host.fake_host import cgroup_v1, cgroup_v2, surroundings, write

RANGE = {"jail_uid_first": 500_000, "jail_uid_count": 10, "jail_gid": 500_000}


@pytest.fixture(autouse=True)
def fit_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Root, and nobody else has an id of the range."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwall", lambda: [SimpleNamespace(pw_name="ann", pw_uid=1000)])
    accounts(monkeypatch, {})
    cgroup_v2(tmp_path)
    write(tmp_path / "proc" / "self" / "status", f"CapEff:\t{1 << 6 | 1 << 7:016x}\n")
    write(tmp_path / "proc" / "self" / "uid_map", "0 0 4294967295\n")
    (tmp_path / "run").mkdir()


def accounts(monkeypatch: pytest.MonkeyPatch, users: dict[int, str], groups: dict[int, str] | None = None) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name=users[uid]))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: SimpleNamespace(gr_name=(groups or {})[gid]))


async def test_root_with_free_ids_and_writable_groups_can(tmp_path: Path) -> None:
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, found.seen) == (Severity.OK, "on: user ids 500000 to 500009, control groups v2")


async def test_no_jail_by_settings_is_said_loudly(tmp_path: Path) -> None:
    found = await jail(surroundings(tmp_path, jail="off", **RANGE))
    assert (found.severity, found.seen[:3]) == (Severity.DEGRADED, "OFF")
    assert found.remedy


async def test_another_user_than_root_can_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "not root" in found.seen) == (Severity.DEGRADED, True)


async def test_ids_of_an_account_are_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwall", lambda: [SimpleNamespace(pw_name="bob", pw_uid=500_009)])
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "bob" in found.seen) == (Severity.DEGRADED, True)


async def test_ids_that_only_a_directory_service_knows_are_not_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts(monkeypatch, {500_003: "eve"})
    assert "eve" in (await jail(surroundings(tmp_path, **RANGE))).seen


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("carl:499000:1001", Severity.DEGRADED),
        ("carl:500009:65536", Severity.DEGRADED),
        ("carl:499000:1000", Severity.OK),
        ("carl:500010:65536", Severity.OK),
        ("a torn line", Severity.OK),
    ],
)
async def test_ids_lent_to_containers_are_not_free(tmp_path: Path, line: str, severity: Severity) -> None:
    write(tmp_path / "etc" / "subuid", f"{line}\n")
    found = await jail(surroundings(tmp_path, **RANGE))
    assert found.severity is severity
    assert ("containers of carl" in found.seen) == (severity is Severity.DEGRADED)


async def test_a_group_that_somebody_has_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts(monkeypatch, {}, {500_000: "staff"})
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "staff" in found.seen) == (Severity.DEGRADED, True)


def shut(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Root may write anywhere but where the file system is read-only."""
    monkeypatch.setattr("os.access", lambda path, mode: not (path == place and mode & os.W_OK))


async def test_control_groups_that_can_not_be_written_limit_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(monkeypatch, tmp_path / "sys" / "fs" / "cgroup")
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "cgroup can't be written" in found.seen) == (Severity.DEGRADED, True)


async def test_control_groups_of_a_container_that_lies_in_the_topmost_itself_limit_nothing(tmp_path: Path) -> None:
    top = tmp_path / "sys" / "fs" / "cgroup"
    write(top / "cgroup.type", "domain\n")
    write(top / "cgroup.procs", "1\n")
    write(top / "cgroup.subtree_control", "cpu\n")
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "can't be passed on" in found.seen) == (Severity.DEGRADED, True)
    assert (top / "cgroup.subtree_control").read_text() == "cpu\n"
    write(top / "cgroup.subtree_control", "cpu memory pids\n")
    assert (await jail(surroundings(tmp_path, **RANGE))).severity is Severity.OK


@pytest.mark.parametrize("missing", [6, 7])
async def test_a_root_that_may_not_change_its_user_can_not(tmp_path: Path, missing: int) -> None:
    write(tmp_path / "proc" / "self" / "status", f"CapEff:\t{(1 << 6 | 1 << 7) & ~(1 << missing):016x}\n")
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "may not change its user" in found.seen) == (Severity.DEGRADED, True)


async def test_a_container_without_the_user_ids_can_not(tmp_path: Path) -> None:
    write(tmp_path / "proc" / "self" / "uid_map", "0 100000 65536\n")
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "no user ids for jails" in found.seen) == (Severity.DEGRADED, True)


async def test_user_ids_that_can_not_be_claimed_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shut(monkeypatch, tmp_path / "run")
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, f"{tmp_path}/run can't be written" in found.seen) == (Severity.DEGRADED, True)
    (tmp_path / "run" / "vmdeck-jails").mkdir(mode=0o700)  # as the service has it, where /run is read-only
    assert (await jail(surroundings(tmp_path, **RANGE))).severity is Severity.OK


@pytest.mark.parametrize(("vmm", "severity"), [("qemu", Severity.DEGRADED), ("firecracker", Severity.OK)])
async def test_a_device_that_only_root_opens_is_of_no_use_to_a_jailed_qemu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vmm: str, severity: Severity
) -> None:
    async def chosen(*_: object) -> Chosen:
        choice = VmmChoice(vmm=vmm, accelerator="kvm", version="1", reason="a test")
        return Chosen(choice, Program(Path("/vmm"), "1", ("kvm",)))

    monkeypatch.setattr(confinement, "choose_vmm", chosen)
    write(tmp_path / "dev" / "kvm", mode=0o600)
    found = await jail(surroundings(tmp_path, kvm="native", **RANGE))
    assert (found.severity, "only root may" in found.seen) == (severity, vmm == "qemu")


async def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    cgroup_v1(tmp_path, "cpu", "memory")
    found = await jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, found.seen) == (Severity.DEGRADED, "no control group for pids")
