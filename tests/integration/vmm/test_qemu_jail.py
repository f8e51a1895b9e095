"""QEMU in its jail, as the kernel sees it: user, privileges, control groups, limits, files; and nothing of it stays."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from engine.backend import Backend
from engine.engine import Engine
from engine.errors import InternalError, NotReadyError
from engine.models import BootMode, CreateSnapshotRequest, JobState, RunRequest
from engine.settings import Settings
from engine.vmm import cgroups, home, jail_uids
from engine.vmm.base import MachineState
from engine.vmm.cgroups import CgroupLimits, Cgroups
from engine.vmm.fleet import VmPurpose
from engine.vmm.home import VmHome, reap
from engine.vmm.qemu import QemuVm
from tests.hostile.remains import gone, remains, vmm_pids
from tests.integration.vmm import doomed_qemu
from tests.integration.vmm.clones import python_clone
from tests.lab import made_lab
from tests.running import run_python

pytestmark = [pytest.mark.vm, pytest.mark.usefixtures("root")]

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024
CLONES = 8
_STAYS = "print('up', flush=True)\nwhile True: pass"


@pytest.fixture
def lab(prepared: Settings) -> Iterator[Settings]:
    with made_lab(prepared, jail="on", max_running=CLONES) as settings:
        yield settings


@asynccontextmanager
async def running(engine: Engine, boot: BootMode = "snapshot") -> AsyncIterator[int]:
    """The pid of a QEMU whose guest runs user code."""
    events = engine.stream(RunRequest(language="python", code=_STAYS, boot=boot, timeout=120))
    try:
        async for event in events:
            if event.kind == "stdout":
                (vm,) = await engine.vms()
                assert vm.pid is not None
                yield vm.pid
                break
    finally:
        await events.aclose()


@pytest.fixture
async def qemu(engine: Engine) -> AsyncIterator[int]:
    async with running(engine) as pid:
        yield pid


@pytest.fixture
async def backend(lab: Settings) -> AsyncIterator[Backend]:
    backend = Backend(lab)
    yield backend
    await backend.close()


@pytest.fixture
async def saved(lab: Settings, backend: Backend) -> MachineState:
    return await python_clone(lab, backend)


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def status(pid: int) -> dict[str, list[str]]:
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in proc(pid, "status").splitlines())}


def user_of(pid: int) -> int:
    (uid,) = set(status(pid)["Uid"])
    return int(uid)


def groups_of(pid: int) -> dict[str, Path]:
    """The control group of each controller."""
    (name,) = {line.rpartition("/")[2] for line in proc(pid, "cgroup").splitlines() if "/vmdeck-" in line}
    return {controller: mount / name for controller, mount in Cgroups.of_host().mounts.items()}


def open_files(pid: int) -> dict[int, Path]:
    """Regular files that the process has open: descriptor and name."""
    found: dict[int, Path] = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if stat.S_ISREG(entry.stat().st_mode):
            found[int(entry.name)] = entry.readlink()
    return found


@pytest.mark.parametrize("boot", ["snapshot", "cold"])
async def test_the_process_is_a_user_of_its_own_without_any_privilege(
    engine: Engine, lab: Settings, boot: BootMode
) -> None:
    async with running(engine, boot) as pid:
        seen = status(pid)
        assert user_of(pid) in lab.jail_uids
        assert set(seen["Gid"]) == {str(lab.jail_gid)}
        assert seen["Groups"] == []
        assert {int(seen[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert (seen["NoNewPrivs"], seen["Seccomp"]) == (["1"], ["2"])


async def test_the_kernel_holds_the_process_to_its_limits(qemu: int) -> None:
    groups = groups_of(qemu)
    version = Cgroups.of_host().version
    for folder in groups.values():
        assert str(qemu) in (folder / "cgroup.procs").read_text().split()
    memory = groups["memory"] / ("memory.max" if version == 2 else "memory.limit_in_bytes")
    # The guest's 256 MiB, QEMU's own 192 MiB, and the empty pages that it may add to the copy of its snapshot's memory.
    assert (256 + 192) * MIB <= int(memory.read_text()) <= (256 + 192 + 256) * MIB
    assert int((groups["pids"] / "pids.max").read_text()) == 81
    if version == 2:
        assert (groups["cpu"] / "cpu.max").read_text() == "150000 100000\n"
    else:
        assert (groups["cpu"] / "cpu.cfs_quota_us").read_text() == "150000\n"
        assert (groups["cpu"] / "cpu.cfs_period_us").read_text() == "100000\n"


async def test_resource_limits_hold(qemu: int) -> None:
    limits = {line[:26].strip(): line[26:].split()[:2] for line in proc(qemu, "limits").splitlines()[1:]}
    assert limits["Max open files"] == ["1024"] * 2
    assert limits["Max core file size"] == ["0"] * 2
    assert limits["Max file size"] == ["0"] * 2
    assert limits["Max processes"] == ["81"] * 2


async def test_it_reaches_no_network_and_no_ipc(qemu: int) -> None:
    for kind in ("net", "ipc"):
        assert Path(f"/proc/{qemu}/ns/{kind}").readlink() != Path(f"/proc/self/ns/{kind}").readlink()
    devices = [line.partition(":")[0].strip() for line in proc(qemu, "net/dev").splitlines()[2:]]
    assert devices == ["lo"]


async def test_it_is_told_no_secret_of_the_engine(lab: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMDECK_API_TOKEN", "of-the-engine")
    async with Engine(lab) as engine, running(engine) as pid:
        assert "of-the-engine" not in proc(pid, "environ") + proc(pid, "cmdline")


def as_user(uid: int, gid: int, *command: str) -> subprocess.CompletedProcess[str]:
    identity = ("--reuid", str(uid), "--regid", str(gid), "--clear-groups")
    return subprocess.run(["setpriv", *identity, "--", *command], capture_output=True, text=True, check=False)


async def test_it_can_not_open_what_others_start_from_for_writing(
    qemu: int, lab: Settings, saved: MachineState
) -> None:
    files = [saved.state, saved.memory, saved.memory.parent / "manifest.json", *saved.spec.drives]
    files += [saved.spec.vmlinux, saved.spec.initramfs]
    for file in files:
        tried = as_user(user_of(qemu), lab.jail_gid, "sh", "-c", 'exec 3>>"$1"', "sh", str(file.resolve()))
        assert "Permission denied" in tried.stderr, file


@pytest.mark.parametrize("boot", ["snapshot", "cold"])
async def test_what_it_has_open_it_can_not_change(engine: Engine, lab: Settings, boot: BootMode) -> None:
    async with running(engine, boot) as pid:
        held = open_files(pid)
        assert any(name.name == "rootfs.ext4" for name in held.values())
        for fd, name in held.items():
            target = f"/proc/{pid}/fd/{fd}"
            wrote = as_user(user_of(pid), lab.jail_gid, "dd", "if=/dev/zero", f"of={target}", "count=1", "conv=notrunc")
            assert wrote.returncode != 0, name
            assert "not permitted" in wrote.stderr or "Permission denied" in wrote.stderr, wrote.stderr


async def test_clones_share_one_memory_and_leave_it_as_it_was(engine: Engine, saved: MachineState) -> None:
    code = "block = bytearray(b'mine' * 5_000_000)\nprint('up', flush=True)\nwhile True: pass"
    requests = [RunRequest(language="python", code=code, boot="snapshot", timeout=120) for _ in range(2)]
    streams = [engine.stream(request) for request in requests]
    try:
        for stream in streams:
            async for event in stream:
                if event.kind == "stdout":
                    break
        memories: list[Path] = []
        for vm in await engine.vms():
            assert vm.pid is not None
            memories += [
                Path(f"/proc/{vm.pid}/fd/{fd}") for fd, name in open_files(vm.pid).items() if "memfd" in str(name)
            ]
        assert len({(path.stat().st_dev, path.stat().st_ino) for path in memories}) == 1
        assert digest(memories[0]) == digest(saved.memory)
    finally:
        for stream in streams:
            await stream.aclose()


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def test_eight_clones_at_once_are_eight_users(backend: Backend, saved: MachineState, lab: Settings) -> None:
    fleet = (await backend.ready()).fleet
    async with AsyncExitStack() as stack:
        restores = (stack.enter_async_context(fleet.restore(saved, VmPurpose("test"))) for _ in range(CLONES))
        clones = [live.vm for live in await asyncio.gather(*restores)]
        users = {user_of(clone.pid) for clone in clones if clone.pid is not None}
        assert len(users) == CLONES
        assert users <= jail_uids.claimed(lab.jail_uids)
        for clone in clones:
            assert isinstance(clone, QemuVm)
            assert clone.pid is not None
            assert clone.confinement.text.startswith(f"user {user_of(clone.pid)}, control group")
    assert not users & jail_uids.claimed(lab.jail_uids)
    assert remains(lab) == []


@pytest.mark.parametrize("jail", ["on", "off"])
async def test_a_run_works_in_the_jail_and_out_of_it(prepared: Settings, jail: str) -> None:
    code = "import os; x = os.urandom(30 << 20); open('f', 'wb').write(x); print(len(open('f', 'rb').read()) >> 20)"
    with made_lab(prepared, jail=jail) as settings:
        async with Engine(settings) as engine:
            assert (await run_python(engine, code)).stdout == "30\n"
            async with running(engine) as pid:
                assert (user_of(pid) in settings.jail_uids) == (jail == "on")


async def test_a_guest_that_uses_all_of_its_memory_is_not_ended_by_the_hosts_limit(engine: Engine) -> None:
    code = "import os\nheld = []\nwhile True: held.append(os.urandom(1 << 20))"
    result = await run_python(engine, code, boot="snapshot")
    assert result.status == "memory_limit"


async def test_a_snapshot_is_made_in_the_jail(engine: Engine, lab: Settings) -> None:
    users: set[int] = set()
    job = await engine.create_snapshot(CreateSnapshotRequest(language="python", name="jailed"))
    async for event in engine.job_events(job.id):
        job = event.job
        users |= {user_of(vm.pid) for vm in await engine.vms() if vm.pid in vmm_pids(lab)}
    assert job.state is JobState.DONE, job.error
    assert users
    assert users <= set(lab.jail_uids)
    assert (await run_python(engine, "print('from it')", snapshot="jailed")).stdout == "from it\n"


async def test_without_control_groups_it_still_is_a_user_of_its_own(
    lab: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(self: Cgroups) -> str:
        return "/sys/fs/cgroup can't be written"

    monkeypatch.setattr(Cgroups, "hindrance", read_only)
    backend = Backend(lab)
    try:
        saved = await python_clone(lab, backend)
        async with (await backend.ready()).fleet.restore(saved, VmPurpose("test")) as live:
            assert isinstance(live.vm, QemuVm)
            assert live.vm.pid is not None
            assert user_of(live.vm.pid) in lab.jail_uids
            assert "vmdeck" not in proc(live.vm.pid, "cgroup")
            assert live.vm.confinement.jailed
            assert "no control group (/sys/fs/cgroup can't be written)" in live.vm.confinement.text
    finally:
        await backend.close()


async def test_a_group_that_can_not_be_made_is_a_failed_start_that_leaves_nothing(
    backend: Backend, saved: MachineState, lab: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Cgroups.make

    def half(self: Cgroups, name: str, limits: object) -> None:
        make(self, name, limits)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Cgroups, "make", half)
    with pytest.raises(NotReadyError, match="control groups can't be made"):
        async with (await backend.ready()).fleet.restore(saved, VmPurpose("test")):
            pytest.fail("it has no control groups")
    assert remains(lab) == []
    assert cgroups_of(lab) == []


async def test_no_vm_holds_up_the_others_while_its_home_and_groups_come_and_go(
    backend: Backend, saved: MachineState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes 10 ms and more over a control group while another process is moved."""
    fleet = (await backend.ready()).fleet
    seen: dict[str, set[int]] = {}

    def record(owner: object, name: str) -> None:
        work = getattr(owner, name)

        def recorded(*args: object, **kwargs: object) -> object:
            seen.setdefault(name, set()).add(threading.get_ident())
            return work(*args, **kwargs)

        monkeypatch.setattr(owner, name, recorded)

    for owner, name in ((jail_uids, "claim"), (Cgroups, "make"), (cgroups, "try_to_remove"), (home, "_remove_tree")):
        record(owner, name)
    record(VmHome, "note_elsewhere")
    async with fleet.restore(saved, VmPurpose("test")):
        pass
    assert len(seen) == 5
    assert threading.get_ident() not in set().union(*seen.values())


async def test_a_start_that_is_cancelled_while_its_groups_are_made_leaves_nothing(
    backend: Backend, saved: MachineState, lab: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = (await backend.ready()).fleet
    make, begun, go_on = Cgroups.make, threading.Event(), threading.Event()
    made: list[str] = []

    def slow(self: Cgroups, name: str, limits: CgroupLimits) -> None:
        begun.set()
        go_on.wait()
        make(self, name, limits)
        made.append(name)

    async def start() -> None:
        async with fleet.restore(saved, VmPurpose("test")):
            pytest.fail("it was cancelled")

    monkeypatch.setattr(Cgroups, "make", slow)
    starting = asyncio.create_task(start())
    await asyncio.to_thread(begun.wait)
    starting.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    (name,) = made
    assert not any(folder.exists() for folder in Cgroups.of_host().folders(name))
    assert remains(lab) == []


async def test_a_user_stays_taken_while_a_group_of_its_vm_stays_in_use(
    backend: Backend, saved: MachineState, lab: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_REMOVAL_DEADLINE_S", 0.2)
    fleet = (await backend.ready()).fleet

    async def run_and_leave_a_group_below() -> None:
        async with fleet.restore(saved, VmPurpose("test")) as live:
            assert live.vm.pid is not None
            users.add(user_of(live.vm.pid))
            inner.append(groups_of(live.vm.pid)["pids"] / "inner")
            inner[0].mkdir()

    users: set[int] = set()
    inner: list[Path] = []
    try:
        with pytest.raises(InternalError, match=r"Control groups can't be removed: .*busy"):
            await run_and_leave_a_group_below()
        assert users <= jail_uids.claimed(lab.jail_uids)
        assert not vmm_pids(lab)
    finally:
        for folder in inner:
            folder.rmdir()
    async with fleet.restore(saved, VmPurpose("test")) as live:
        assert live.vm.pid is not None
        users.add(user_of(live.vm.pid))
    assert not users & jail_uids.claimed(lab.jail_uids)
    assert remains(lab) == []


def cgroups_of(settings: Settings) -> list[Path]:
    """Control groups of VMs that this engine has or had."""
    ids = {folder.name for folder in settings.vms_dir.iterdir()} if settings.vms_dir.is_dir() else set[str]()
    mounts = set(Cgroups.of_host().mounts.values())
    return [folder for mount in mounts for folder in mount.glob("vmdeck-*") if folder.name[7:] in ids]


@pytest.mark.parametrize("stage", doomed_qemu.STAGES)
async def test_nothing_stays_of_an_engine_that_is_killed_when(lab: Settings, stage: str) -> None:
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, doomed_qemu.__file__, str(lab.data_dir), str(lab.runtime_dir), stage),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert engine.stdout is not None
        async with asyncio.timeout(60):
            assert (await engine.stdout.readline()).decode().strip() == doomed_qemu.REACHED
    finally:
        engine.kill()
        await engine.wait()
    await gone(lab)
    (left,) = lab.vms_dir.iterdir()
    groups = [mount / f"vmdeck-{left.name}" for mount in set(Cgroups.of_host().mounts.values())]
    if stage != "its groups are noted":
        assert all(group.is_dir() for group in groups)
    assert await reap(lab.vms_dir) == [left.name]
    assert remains(lab) == []
    assert not any(group.exists() for group in groups)
