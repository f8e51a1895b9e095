"""Firecracker in its jail, as the kernel sees it: user, control groups, limits, files."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BusyError, NotReadyError
from engine.vmm.base import MachineState
from engine.vmm.firecracker import Firecracker, FirecrackerVm
from engine.vmm.jailer import Jail, ResourceLimits
from engine.vmm.quarters import Placement
from tests.integration.vmm.lab import GID, UIDS, Lab

pytestmark = pytest.mark.usefixtures("root")

MIB = 1024 * 1024


@pytest.fixture
async def vm(lab: Lab, saved: MachineState) -> AsyncIterator[FirecrackerVm]:
    """A jailed clone."""
    vm = await lab.driver(jailed=True).restore("prisoner", saved)
    yield vm
    await vm.destroy()


@pytest.fixture
def jail(lab: Lab) -> Jail:
    """One that is prepared, without a process."""
    jail = lab.jails.for_vm("cell", lab.spec())
    jail.prepare()
    return jail


def proc(vm: FirecrackerVm, name: str) -> str:
    return Path(f"/proc/{vm.pid}/{name}").read_text()


def status(vm: FirecrackerVm, field: str) -> list[str]:
    return next(line for line in proc(vm, "status").splitlines() if line.startswith(f"{field}:")).split()[1:]


async def test_the_process_is_an_unprivileged_user_of_the_range(vm: FirecrackerVm) -> None:
    (uid,) = set(status(vm, "Uid"))
    assert int(uid) in UIDS
    assert set(status(vm, "Gid")) == {str(GID)}
    assert int(status(vm, "CapEff")[0], 16) == 0
    assert status(vm, "Seccomp") == ["2"]


async def test_the_process_sees_its_chroot_only(lab: Lab, vm: FirecrackerVm) -> None:
    root = Path(f"/proc/{vm.pid}/root")
    assert root.samefile(lab.jails.base / "firecracker" / "prisoner" / "root")
    assert not (root / "etc").exists()


async def test_the_kernel_has_the_limits_of_the_jail_and_the_process_is_in_them(lab: Lab, vm: FirecrackerVm) -> None:
    limits = lab.jails.for_vm("unused", lab.spec()).limits
    found: dict[str, str] = {}
    for folder in lab.cgroups("prisoner"):
        assert str(vm.pid) in (folder / "cgroup.procs").read_text().split()
        found |= {path.name: path.read_text().strip() for path in folder.iterdir() if path.name in wanted_names(lab)}
    assert found == dict(limits.files(lab.jails.cgroups.version))
    assert limits.memory_bytes > 128 * MIB


def wanted_names(lab: Lab) -> set[str]:
    return {name for name, _ in lab.jails.for_vm("unused", lab.spec()).limits.files(lab.jails.cgroups.version)}


async def test_resource_limits_hold(lab: Lab, saved: MachineState) -> None:
    def narrow(vm_id: str, spec: object) -> Jail:
        jail = lab.jails.for_vm(vm_id, lab.spec())
        return replace(jail, resources=ResourceLimits(open_files=321, file_bytes=7 * MIB))

    vm = await Firecracker(lab.settings, lab.binaries / "firecracker", "1.12.1", jails=narrow).restore("narrow", saved)
    try:
        limits = {line[:26].strip(): line[26:].split()[:2] for line in proc(vm, "limits").splitlines()[1:]}
    finally:
        await vm.destroy()
    assert limits["Max open files"] == ["321", "321"]
    assert limits["Max file size"] == [str(7 * MIB)] * 2


async def test_two_jails_at_once_have_two_users(lab: Lab, saved: MachineState, vm: FirecrackerVm) -> None:
    other = await lab.driver(jailed=True).restore("other", saved)
    try:
        assert status(other, "Uid") != status(vm, "Uid")
    finally:
        await other.destroy()


def test_no_two_jails_share_a_user_and_a_full_range_is_busy(lab: Lab) -> None:
    policy = replace(lab.jails, uids=range(229_000, 229_002))
    for name in ("a", "b"):
        policy.for_vm(name, lab.spec()).prepare()
    with pytest.raises(BusyError, match="All 2 user ids"):
        policy.for_vm("c", lab.spec())


def test_a_file_is_placed_as_a_hard_link_that_costs_no_room(lab: Lab, jail: Jail) -> None:
    assert jail.place(lab.drive, "drive") is Placement.LINK
    assert (jail.folder / "drive").samefile(lab.drive)


def test_a_private_file_becomes_readable_for_the_jails_and_nobody_else(lab: Lab, jail: Jail) -> None:
    lab.drive.chmod(0o600)
    jail.place(lab.drive, "drive")
    found = lab.drive.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (os.geteuid(), GID, 0o640)


def test_a_file_of_another_file_system_is_copied_and_that_is_said(jail: Jail, caplog: pytest.LogCaptureFixture) -> None:
    if os.stat("/dev/shm").st_dev == jail.base.stat().st_dev:  # noqa: PTH116
        pytest.skip("/dev/shm is on the file system of the tests")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as source, caplog.at_level(logging.WARNING):
        source.write(b"image")
        source.flush()
        assert jail.place(Path(source.name), "drive") is Placement.COPY
        assert (jail.folder / "drive").read_bytes() == b"image"
        assert "copied a file into a jail" in caplog.text
        with pytest.raises(NotReadyError, match="another file system"):
            jail.place(Path(source.name), "state", writable=True)
    assert not (jail.folder / "state").exists()
