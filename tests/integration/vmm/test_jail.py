"""Firecracker in its jail, as the kernel sees it: user, control groups, limits, files."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import fields, replace
from pathlib import Path

import pytest

from engine.errors import BusyError, InternalError, NotReadyError
from engine.host.programs import firecracker_program
from engine.snapshots.store import record
from engine.vmm import jail_uids, jailer
from engine.vmm.base import MachineState, VmSpec
from engine.vmm.firecracker import Firecracker, FirecrackerVm
from engine.vmm.jailer import Jail, JailPolicy, ResourceLimits
from engine.vmm.quarters import Placement
from tests.firecracker_release import VERSION
from tests.integration.vmm.lab import GID, UIDS, Lab, machine_state

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


@pytest.mark.parametrize("namespace", ["net", "ipc"])
async def test_nothing_of_the_hosts_network_or_ipc_is_in_reach(vm: FirecrackerVm, namespace: str) -> None:
    """Abstract unix sockets of the host included."""
    assert os.readlink(f"/proc/{vm.pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")  # noqa: PTH115


def limits_of(vm: FirecrackerVm) -> dict[str, list[str]]:
    """Soft and hard, by the kernel's name."""
    return {line[:26].strip(): line[26:].split()[:2] for line in proc(vm, "limits").splitlines()[1:]}


async def test_a_clone_can_not_fill_the_disk_with_a_file(vm: FirecrackerVm) -> None:
    assert limits_of(vm)["Max file size"] == [str(MIB)] * 2


async def test_a_machine_to_be_saved_may_write_its_memory_and_no_more(lab: Lab) -> None:
    driver = lab.driver(jailed=True)
    async with AsyncExitStack() as owned:
        for saveable, most in ((True, 129 * MIB), (False, MIB)):
            vm = await driver.boot(f"saveable-{saveable}", lab.spec(), saveable=saveable)
            owned.push_async_callback(vm.destroy)
            assert limits_of(vm)["Max file size"] == [str(most)] * 2


async def test_a_vmm_that_crashes_leaves_no_core(lab: Lab, saved: MachineState, jailed: bool) -> None:
    vm = await lab.driver(jailed=jailed).restore("crashing", saved)
    try:
        assert limits_of(vm)["Max core file size"] == ["0", "0"]
    finally:
        await vm.destroy()


async def test_resource_limits_hold(lab: Lab, saved: MachineState) -> None:
    class Narrow(JailPolicy):
        def for_vm(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> Jail:
            jail = super().for_vm(vm_id, spec, saveable=saveable)
            return replace(jail, resources=ResourceLimits(open_files=321, file_bytes=7 * MIB))

    policy = Narrow(**{each.name: getattr(lab.jails, each.name) for each in fields(JailPolicy)})
    vm = await Firecracker(lab.settings, lab.binaries / "firecracker", "1.12.1", jails=policy).restore("narrow", saved)
    try:
        limits = limits_of(vm)
    finally:
        await vm.destroy()
    assert limits["Max open files"] == ["321", "321"]
    assert limits["Max file size"] == [str(7 * MIB)] * 2


async def test_a_firecracker_behind_links_starts_and_leaves_nothing(lab: Lab, saved: MachineState) -> None:
    """The jailer names its folders after the file itself, not after the link."""
    links = lab.home / "links"
    links.mkdir()
    (links / "fc").symlink_to(lab.binaries / "firecracker")
    (links / "jailer").symlink_to(lab.binaries / "jailer")
    settings = lab.settings.model_copy(update={"firecracker_binary": str(links / "fc")})
    program = await firecracker_program(settings)
    assert program.jailer is not None
    jails = replace(lab.jails, binary=program.path, jailer=program.jailer)
    vm = await Firecracker(settings, program.path, VERSION, jails=jails).restore("linked", saved)
    await vm.destroy()
    assert list(lab.jails.base.glob("*/*")) == []
    assert lab.remains("linked") == []


async def test_two_jails_at_once_have_two_users(lab: Lab, saved: MachineState, vm: FirecrackerVm) -> None:
    other = await lab.driver(jailed=True).restore("other", saved)
    try:
        assert status(other, "Uid") != status(vm, "Uid")
    finally:
        await other.destroy()


def test_no_jail_of_firecracker_shares_its_user_with_one_of_qemu(lab: Lab) -> None:
    """Whichever engine they are of: the second policy has its jails elsewhere."""
    elsewhere = replace(lab.jails, base=lab.home / "other")
    with ThreadPoolExecutor(8) as threads:
        jails = [*threads.map(lambda number: lab.jails.for_vm(f"clone{number}", lab.spec()), range(8))]
    jails.append(elsewhere.for_vm("other", lab.spec()))
    users = [jail.uid for jail in jails] + [jail_uids.claim(UIDS)]
    assert len({user.uid for user in users}) == 10


async def test_the_user_of_a_vm_is_free_when_that_has_ended_or_never_started(lab: Lab, saved: MachineState) -> None:
    policy = replace(lab.jails, uids=range(229_100, 229_101))
    driver = Firecracker(lab.settings, lab.binaries / "firecracker", VERSION, jails=policy)
    no_kernel = replace(lab.spec(), vmlinux=lab.home / "none")
    kept: list[Exception] = []  # what failed may be remembered for long
    for _ in range(2):
        with pytest.raises(NotReadyError, match="No such file") as caught:
            await driver.boot("failing", no_kernel)
        kept.append(caught.value)
        vm = await driver.restore("clone", saved)
        with pytest.raises(BusyError, match="All 1 user ids"):
            await driver.restore("another", saved)
        await vm.destroy()


def test_no_two_jails_share_a_user_and_a_full_range_is_busy(lab: Lab) -> None:
    policy = replace(lab.jails, uids=range(229_000, 229_002))
    held = [policy.for_vm(name, lab.spec()) for name in ("a", "b")]
    with pytest.raises(BusyError, match="All 2 user ids"):
        policy.for_vm("c", lab.spec())
    held[0].leave()
    assert policy.for_vm("c", lab.spec()).uid.uid == held[0].uid.uid


def test_a_file_is_placed_as_a_hard_link_that_costs_no_room(lab: Lab, jail: Jail) -> None:
    assert jail.place(lab.drive, "drive") is Placement.LINK
    assert (jail.folder / "drive").samefile(lab.drive)


def test_a_private_file_becomes_readable_for_the_jails_and_nobody_else(lab: Lab, jail: Jail) -> None:
    lab.drive.chmod(0o600)
    jail.place(lab.drive, "drive")
    found = lab.drive.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (os.geteuid(), GID, 0o640)


@pytest.fixture
def bait(lab: Lab) -> Path:
    """A file of root's that no jail may change or have changed."""
    bait = lab.home / "bait"
    bait.write_text("untouched")
    bait.chmod(0o600)
    return bait


def seen(file: Path) -> tuple[int, int, int, str]:
    found = file.stat()
    return found.st_uid, found.st_gid, found.st_mode, file.read_text()


@pytest.mark.parametrize("writable", [False, True], ids=["to read", "to write"])
@pytest.mark.parametrize("far", [False, True], ids=["linked", "copied"])
def test_no_link_that_the_jail_has_planted_is_followed(
    lab: Lab, jail: Jail, bait: Path, *, writable: bool, far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(bait)
    (jail.folder / "drive").symlink_to(bait)
    if far:
        monkeypatch.setattr(jailer, "_linked", lambda source, target: False)
    with pytest.raises((FileExistsError, NotReadyError)):
        jail.place(lab.drive, "drive", writable=writable)
    jail.own("drive")
    assert seen(bait) == before


@pytest.mark.parametrize("name", ["saved-state", "saved-memory"])
async def test_a_live_vmm_can_not_have_another_file_made_its_own(
    lab: Lab, vm: FirecrackerVm, bait: Path, name: str
) -> None:
    before = seen(bait)
    (Path(f"/proc/{vm.pid}/cwd") / name).symlink_to(bait)
    folder = lab.home / "into"
    folder.mkdir()
    with pytest.raises(InternalError, match="Something lies where"):
        await vm.save(folder)
    assert seen(bait) == before
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["api.sock", "v.sock"])
async def test_a_live_vmm_can_not_have_us_call_a_socket_of_the_host(lab: Lab, vm: FirecrackerVm, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as of_the_host:
        of_the_host.bind(str(lab.home / "host.sock"))
        of_the_host.listen()
        of_the_host.setblocking(False)
        planted = Path(f"/proc/{vm.pid}/cwd") / name
        planted.unlink()
        planted.symlink_to(lab.home / "host.sock")
        with pytest.raises(InternalError, match=f"{name} in the VM's folder is no socket"):
            await (vm.counters(1) if name == "api.sock" else vm.connect())
        with pytest.raises(BlockingIOError):
            of_the_host.accept()


async def test_what_a_vmm_holds_open_is_no_part_of_a_snapshot(lab: Lab) -> None:
    vm = await lab.driver(jailed=True).boot("template", lab.spec(), saveable=True)
    try:
        folder = lab.home / "into"
        folder.mkdir()
        saved = await vm.save(folder)
        theirs = {os.stat(path).st_ino for path in Path(f"/proc/{vm.pid}/fd").iterdir()}  # noqa: PTH116
        for file in (saved.state, saved.memory):
            found = file.stat()
            assert (found.st_uid, stat.S_IMODE(found.st_mode), found.st_nlink) == (os.geteuid(), 0o600, 1)
            assert found.st_ino not in theirs
    finally:
        await vm.destroy()


def test_a_jail_finds_a_snapshot_as_it_was_made(lab: Lab, saved: MachineState) -> None:
    """Making a file readable for the jails changes nothing that tells a changed snapshot from a whole one."""
    saved.memory.chmod(0o600)
    made = record(saved.memory)
    jail = lab.jails.for_vm("cell", lab.spec())
    jail.prepare()
    jail.place(saved.memory, "memory")
    assert saved.memory.stat().st_gid == GID
    assert record(saved.memory) == made


async def test_snapshots_and_jails_of_the_default_layout_are_links_of_each_other(lab: Lab) -> None:
    """data_dir has both: a jailed machine saves into snapshots_dir, and eight jailed clones of that run at once."""
    settings = lab.settings
    driver = Firecracker(
        settings, lab.binaries / "firecracker", VERSION, jails=replace(lab.jails, base=settings.jails_dir)
    )
    folder = settings.snapshots_dir / "python"
    folder.mkdir(parents=True, mode=0o700)
    async with AsyncExitStack() as owned:
        template = await driver.boot("template", lab.spec(), saveable=True)
        owned.push_async_callback(template.destroy)
        saved = machine_state(lab.spec(), await template.save(folder))
        await template.destroy()
        made = record(saved.state), record(saved.memory)
        clones = await asyncio.gather(*(driver.restore(f"clone{number}", saved) for number in range(8)))
        for clone in clones:
            owned.push_async_callback(clone.destroy)
        assert len({status(clone, "Uid")[0] for clone in clones}) == 8
        assert (record(saved.state), record(saved.memory)) == made
    assert list((settings.jails_dir / "firecracker").iterdir()) == []


@pytest.fixture(params=["nodev", "noexec"])
def unfit_mount(lab: Lab, request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """A file system mounted with an option that no jail can live with, and the option."""
    base, option = lab.home / "mounted", request.param
    base.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size=16m,{option}", "jails", str(base)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield base, option
    subprocess.run(["umount", str(base)], check=True)


async def test_a_file_system_that_no_jail_can_be_in_is_told_before_the_start(
    lab: Lab, saved: MachineState, unfit_mount: tuple[Path, str]
) -> None:
    base, option = unfit_mount
    driver = Firecracker(lab.settings, lab.binaries / "firecracker", VERSION, jails=replace(lab.jails, base=base))
    with pytest.raises(NotReadyError, match=f"mounted {option}") as caught:
        await driver.restore("unfit", saved)
    assert option in caught.value.remedy
    assert list((base / "firecracker").iterdir()) == []
    assert lab.remains("unfit") == []


async def test_the_confinement_is_told_as_it_is(lab: Lab) -> None:
    jailed, unjailed = lab.driver(jailed=True).confinement, lab.driver(jailed=False).confinement
    version = lab.jails.cgroups.version
    assert (jailed.jailed, unjailed.jailed) == (True, False)
    for words in ("210000", "chroot", f"control group v{version} (cpu, memory, pids)", "no network", "seccomp"):
        assert words in jailed.text
    assert unjailed.text == "off by settings: only Firecracker's own seccomp filter"


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
