"""What a jail is, without a jailer: arguments, control groups of both versions, notes for who cleans up."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.vmm import cgroups
from engine.vmm.cgroups import CgroupLimits, Cgroups
from engine.vmm.home import VmHome
from engine.vmm.jail_uids import ClaimedUid
from engine.vmm.jailer import Jail, ResourceLimits
from engine.vmm.quarters import Traces

V1 = Cgroups(1, {"cpu": Path("/cg/cpu,cpuacct"), "memory": Path("/cg/memory"), "pids": Path("/cg/pids")})
V2 = Cgroups(2, dict.fromkeys(cgroups.CONTROLLERS, Path("/cg")))
JAIL = Jail(
    id="vm1",
    jailer=Path("/opt/jailer"),
    binary=Path("/opt/firecracker"),
    base=Path("/jails"),
    uid=ClaimedUid(1001, os.open(os.devnull, os.O_RDONLY)),
    gid=1002,
    limits=CgroupLimits(cpus=1.5, memory_bytes=1 << 28, pids=9),
    cgroups=V2,
)


def values_of(command: list[str], flag: str) -> list[str]:
    return [command[at + 1] for at, word in enumerate(command) if word == flag]


def test_the_arguments_say_all_that_the_jail_is() -> None:
    jail = replace(JAIL, resources=ResourceLimits(open_files=64, file_bytes=4096))
    command = jail.command(["--api-sock", "api.sock"])
    assert command[-3:] == ["--", "--api-sock", "api.sock"]
    wanted = {
        "--id": ["vm1"],
        "--exec-file": ["/opt/firecracker"],
        "--uid": ["1001"],
        "--gid": ["1002"],
        "--chroot-base-dir": ["/jails"],
        "--resource-limit": ["no-file=64", "fsize=4096"],
        "--parent-cgroup": ["vmdeck-vm1"],
    }
    assert {flag: values_of(command, flag) for flag in wanted} == wanted


def test_the_jailer_starts_in_namespaces_of_its_own_and_may_leave_no_core() -> None:
    command = JAIL.command([])
    before = command[: command.index("/opt/jailer")]
    assert before == ["unshare", "--net", "--ipc", "--", "sh", "-c", 'ulimit -c 0 && exec "$@"', "sh"]


@pytest.mark.parametrize(
    ("groups", "version", "files"),
    [
        (V2, "2", ["cpu.max=150000 100000", "memory.max=268435456", "pids.max=9"]),
        (
            V1,
            "1",
            [
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=150000",
                "memory.limit_in_bytes=268435456",
                "pids.max=9",
            ],
        ),
    ],
)
def test_limits_take_the_files_of_their_version(groups: Cgroups, version: str, files: list[str]) -> None:
    command = replace(JAIL, cgroups=groups).command([])
    assert values_of(command, "--cgroup-version") == [version]
    assert values_of(command, "--cgroup") == files


def test_what_a_jail_leaves_is_known_before_it_is_made() -> None:
    assert JAIL.traces == Traces(
        (Path("/jails/firecracker/vm1"),), (Path("/cg/vmdeck-vm1/vm1"), Path("/cg/vmdeck-vm1"))
    )
    assert replace(JAIL, cgroups=V1).traces.cgroups == (
        *(Path(f"/cg/{mount}/vmdeck-vm1/vm1") for mount in ("cpu,cpuacct", "memory", "pids")),
        *(Path(f"/cg/{mount}/vmdeck-vm1") for mount in ("cpu,cpuacct", "memory", "pids")),
    )


V1_ROWS = "cgroup /cg/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup /cg/memory cgroup rw,memory 0 0\n"
V1_PIDS = "cgroup /cg/pids cgroup rw,pids 0 0\n"


def host(tmp_path: Path, rows: str, controllers: str | None = None) -> Path:
    mounts = tmp_path / "mounts"
    if controllers is not None:
        (tmp_path / "cgroup.controllers").write_text(controllers)
        rows += f"cgroup2 {tmp_path} cgroup2 rw 0 0\n"
    mounts.write_text(rows)
    return mounts


def test_version_2_is_preferred_where_it_has_the_controllers(tmp_path: Path) -> None:
    found = Cgroups.of_host(host(tmp_path, V1_ROWS + V1_PIDS, "cpuset cpu io memory pids"))
    assert (found.version, found.folders("a/b")) == (2, (tmp_path / "a/b",))


def test_version_1_serves_where_version_2_is_empty(tmp_path: Path) -> None:
    assert Cgroups.of_host(host(tmp_path, V1_ROWS + V1_PIDS, "hugetlb")) == V1


def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="no control group for pids"):
        Cgroups.of_host(host(tmp_path, V1_ROWS, ""))


async def test_what_a_home_notes_elsewhere_goes_with_it(tmp_path: Path) -> None:
    home = VmHome.create(tmp_path / "vms", "vm1")
    jail, group = tmp_path / "jail", tmp_path / "group"
    (jail / "root").mkdir(parents=True)
    group.mkdir()
    home.note_elsewhere(Traces((jail,), (group,)))
    await home.clear()
    await home.clear()
    assert not jail.exists()
    assert not group.exists()


@pytest.mark.parametrize("text", ["", '{"folders": ["/'])
def test_a_note_that_was_not_finished_names_nothing(tmp_path: Path, text: str) -> None:
    home = VmHome.create(tmp_path / "vms", "vm1")
    (home.path / "elsewhere").write_text(text)
    assert home.elsewhere() == Traces()
