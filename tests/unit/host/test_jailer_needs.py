"""What keeps a jail from working is named before Firecracker is chosen, on a host made of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.host import jailer_needs
from engine.host.jailer_needs import require_jailable
from tests.unit.host.fake_host import cgroup_v1, cgroup_v2, write

ALL_IDS = "         0          0 4294967295\n"
ALL_CAPABILITIES = (1 << 41) - 1
SYS_ADMIN, MKNOD = 21, 27


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """One where jails work, with control groups of version 2."""
    cgroup_v2(tmp_path)
    write(tmp_path / "proc/self/uid_map", ALL_IDS)
    has(tmp_path, ALL_CAPABILITIES)
    return tmp_path


def has(host: Path, capabilities: int) -> None:
    write(host / "proc/self/status", f"Name:\tvmdeck\nCapEff:\t{capabilities:016x}\n")


def look(host: Path) -> None:
    require_jailable(host / "data" / "jails", host / "proc")


def test_a_host_with_all_of_it_will_do(host: Path) -> None:
    look(host)


def test_version_1_of_control_groups_will_do(host: Path) -> None:
    cgroup_v1(host, "cpu", "memory", "pids")
    look(host)


@pytest.mark.parametrize(("bit", "name"), [(SYS_ADMIN, "CAP_SYS_ADMIN"), (MKNOD, "CAP_MKNOD")])
def test_a_missing_capability_is_named(host: Path, bit: int, name: str) -> None:
    has(host, ALL_CAPABILITIES & ~(1 << bit))
    with pytest.raises(NotReadyError, match=f"lacks {name}$"):
        look(host)


def test_a_user_namespace_is_no_place_for_a_jail(host: Path) -> None:
    write(host / "proc/self/uid_map", "0 100000 65536\n")
    with pytest.raises(NotReadyError, match="user namespace"):
        look(host)


def test_a_missing_controller_is_named(host: Path) -> None:
    cgroup_v2(host, "cpu memory")
    with pytest.raises(NotReadyError, match="no control group for pids"):
        look(host)


def test_control_groups_that_are_mounted_read_only_are_named(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = host / "sys/fs/cgroup"
    monkeypatch.setattr(os, "access", lambda path, mode: path != mount)
    with pytest.raises(NotReadyError, match=f"{mount} can't be written"):
        look(host)


def test_a_group_that_can_not_pass_its_controllers_on_is_named(host: Path) -> None:
    """The root of a container's own hierarchy, with the container's processes in it."""
    mount = host / "sys/fs/cgroup"
    write(mount / "cgroup.type", "domain\n")
    write(mount / "cgroup.subtree_control", "\n")
    write(mount / "cgroup.procs", "1\n")
    with pytest.raises(NotReadyError, match="so its controllers can't be passed on"):
        look(host)
    write(mount / "cgroup.procs", "")
    look(host)
    write(mount / "cgroup.procs", "1\n")
    write(mount / "cgroup.subtree_control", "cpu memory pids\n")
    look(host)


@pytest.mark.parametrize(("flag", "option"), [(os.ST_NODEV, "nodev"), (os.ST_NOEXEC, "noexec")])
def test_a_data_folder_on_an_unfit_file_system_is_named(
    host: Path, flag: int, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mounted:
        f_flag = flag

    monkeypatch.setattr(os, "statvfs", lambda path: Mounted() if path == host else None)
    with pytest.raises(NotReadyError, match=f"{host}: its file system is mounted {option}"):
        look(host)


def test_a_system_without_unshare_is_told_how_to_get_it(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jailer_needs.shutil, "which", lambda name, path: None)
    with pytest.raises(NotReadyError, match="no unshare") as caught:
        look(host)
    assert "util-linux" in caught.value.remedy
