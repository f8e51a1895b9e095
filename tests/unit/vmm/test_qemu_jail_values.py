"""QEMU's jail without a QEMU: who gets one, what it says of itself, what it makes and what it grants."""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.host import jail_means
from engine.host.process import ProcessId
from engine.settings import Settings
from engine.vmm import cgroups, jail_uids
from engine.vmm.base import VmSpec
from engine.vmm.cgroups import CgroupLimits, Cgroups
from engine.vmm.qemu_jail import QemuJails, Unjailed, quarters_of
from engine.vmm.quarters import Traces
from tests.unit.host.fake_host import write

SPEC = VmSpec(128, 2, Path("/k/bzImage"), Path("/k/vmlinux"), Path("/g/initramfs"), "quiet", (Path("/i/rootfs"),))
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _own_claims(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    claim, claims = jail_uids.claim, tmp_path / "claims" / "uids"
    monkeypatch.setattr(jail_uids, "claim", lambda uids, taken: claim(uids, taken, claims))


@pytest.fixture
def jails(tmp_path: Path) -> QemuJails:
    return QemuJails(
        uids=range(5000, 5010),
        gid=6000,
        firecracker_jails=tmp_path / "jails",
        cgroups=Cgroups(2, dict.fromkeys(cgroups.CONTROLLERS, tmp_path)),
        without_cgroups="",
        namespaces=True,
        device=None,
    )


def shell(command: list[str]) -> str:
    """What the shell does while it is root still."""
    return command[command.index("-c") + 1]


def test_all_privilege_is_gone_before_the_last_wish_is_said(jails: QemuJails) -> None:
    command = jails.for_vm("vm1", SPEC, saveable=False).command(["qemu", "-arguments"])
    options = command[command.index("setpriv") : command.index("qemu")]
    assert options[options.index("--reuid") + 1] == "5000"
    assert options[options.index("--regid") + 1] == "6000"
    assert {"--clear-groups", "--no-new-privs", "--inh-caps=-all"} <= set(options)
    assert command.index("unshare") < command.index("setpriv") < command.index("--pdeathsig")
    assert command[-2:] == ["qemu", "-arguments"]


def test_only_a_machine_that_is_to_be_saved_may_write_a_file(jails: QemuJails) -> None:
    assert "ulimit -f 0 " in shell(jails.for_vm("vm1", SPEC, saveable=False).command(["qemu"]))
    assert "ulimit -f 0 " not in shell(jails.for_vm("vm2", SPEC, saveable=True).command(["qemu"]))


def test_a_limit_that_is_lower_already_is_kept(jails: QemuJails, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may raise a hard limit, and trying ends the launch."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (50, 60))
    script = shell(jails.for_vm("vm1", SPEC, saveable=False).command(["qemu"]))
    assert "ulimit -n 60 " in script
    assert "ulimit -u 60 " in script


def test_groups_are_made_with_their_limits_and_known_before(jails: QemuJails, tmp_path: Path) -> None:
    jail = jails.for_vm("vm1", SPEC, saveable=False, added_bytes=7 * MIB)
    assert jail.traces == Traces(cgroups=(tmp_path / "vmdeck-vm1",))
    jail.enter()
    made = {path.name: path.read_text() for path in (tmp_path / "vmdeck-vm1").iterdir()}
    assert made == dict(jail.limits.files(2))
    assert jail.limits.memory_bytes == (128 + 192 + 7) * MIB
    assert f"echo 0 > {tmp_path}/vmdeck-vm1/cgroup.procs" in shell(jail.command(["qemu"]))


def members(group: Path) -> Path:
    return group / "cgroup.procs"


def test_a_clone_is_put_into_its_groups_by_the_engine(jails: QemuJails, tmp_path: Path) -> None:
    jail = jails.for_vm("vm1", SPEC, incoming=True)
    jail.enter()
    jail.confine(ProcessId.of(os.getpid()))
    assert members(tmp_path / "vmdeck-vm1").read_text() == str(os.getpid())
    assert "echo" not in shell(jail.command(["qemu"]))


def test_a_later_process_with_a_clones_pid_is_not_put_into_its_groups(jails: QemuJails, tmp_path: Path) -> None:
    jail = jails.for_vm("vm1", SPEC, incoming=True)
    jail.enter()
    members(tmp_path / "vmdeck-vm1").touch()
    jail.confine(ProcessId(os.getpid(), 0))
    assert members(tmp_path / "vmdeck-vm1").read_text() == ""


def test_one_that_got_the_pid_meanwhile_is_put_out_again(
    jails: QemuJails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = jails.for_vm("vm1", SPEC, incoming=True)
    jail.enter()
    looks = iter((True, False))
    monkeypatch.setattr(ProcessId, "alive", lambda _: next(looks))
    jail.confine(ProcessId(4711, 0))
    assert members(tmp_path).read_text() == "4711"


def test_without_groups_nothing_is_made_and_that_is_said(jails: QemuJails) -> None:
    jail = replace(jails, cgroups=None, without_cgroups="/cg can't be written").for_vm("vm1", SPEC, saveable=False)
    jail.enter()
    assert jail.traces == Traces()
    assert "echo" not in shell(jail.command(["qemu"]))
    assert jail.confinement.jailed
    assert "no control group (/cg can't be written)" in jail.confinement.text


def test_one_vms_confinement_names_its_user_and_all_together_the_range(jails: QemuJails) -> None:
    assert jails.for_vm("vm1", SPEC, saveable=False).confinement.text.startswith("user 5000, control group v2")
    assert "5000 to 5009" in jails.confinement.text
    assert "no network" in jails.confinement.text


def test_a_host_that_permits_no_namespaces_is_told_of(jails: QemuJails) -> None:
    jail = replace(jails, namespaces=False).for_vm("vm1", SPEC, saveable=False)
    assert "unshare" not in jail.command(["qemu"])
    assert "the host's network" in jail.confinement.text


@pytest.mark.parametrize(("mode", "group", "groups"), [(0o660, 77, (77,)), (0o666, 0, ())])
def test_the_device_is_opened_by_its_group_where_not_by_all(
    jails: QemuJails, monkeypatch: pytest.MonkeyPatch, mode: int, group: int, groups: tuple[int, ...]
) -> None:
    found = os.stat_result((0o020000 | mode, *(0,) * 4, group, *(0,) * 4))
    monkeypatch.setattr(Path, "stat", lambda _: found)
    assert jail_means.groups_that_open(Path("/dev/kvm")) == groups


def test_a_device_for_root_only_is_refused_with_the_command_that_helps(jails: QemuJails, tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch(0o600)
    with pytest.raises(NotReadyError, match="only root may") as caught:
        replace(jails, device=device).for_vm("vm1", SPEC, saveable=False)
    assert "chgrp kvm" in caught.value.remedy


def reason_of(settings: Settings) -> str:
    quarters = quarters_of(settings, "tcg")
    assert isinstance(quarters, Unjailed)
    assert not quarters.confinement.jailed
    return quarters.confinement.text


def test_no_jail_where_it_is_turned_off() -> None:
    assert "turned off" in reason_of(Settings(jail="off"))


def test_no_jail_for_a_plain_user(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root" in reason_of(settings)


def test_no_jail_for_the_root_of_a_user_namespace_without_its_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status = "Name:\tx\nCapEff:\t000001ffffffffff\n"
    for number, (text, mapped) in enumerate((("0 1000 1\n1 100000 65536\n", False), ("0 0 4294967295\n", True))):
        proc = tmp_path / str(number)
        write(proc / "self" / "status", status)
        write(proc / "self" / "uid_map", text)
        assert (jail_means.without_users(range(210_000, 210_256), proc) is None) == mapped
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(jail_means, "may", lambda *_: True)
    monkeypatch.setattr(jail_means, "_mapped", lambda *_: False)
    assert "user namespace" in reason_of(Settings())


def test_no_jail_for_a_root_that_may_not_change_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(jail_means, "may", lambda *_: False)
    assert "may not change its user" in reason_of(Settings())


def test_groups_that_can_not_be_written_hinder_and_leave_the_user(tmp_path: Path) -> None:
    groups = Cgroups(2, dict.fromkeys(cgroups.CONTROLLERS, tmp_path / "none"))
    assert groups.hindrance() == f"{tmp_path}/none can't be written"


def test_groups_that_can_be_written_do_not_hinder(tmp_path: Path) -> None:
    assert Cgroups(2, dict.fromkeys(cgroups.CONTROLLERS, tmp_path)).hindrance() is None
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    (tmp_path / "cgroup.subtree_control").unlink()
    assert Cgroups(1, dict.fromkeys(cgroups.CONTROLLERS, tmp_path)).hindrance() is None
    assert list(tmp_path.iterdir()) == []


def test_version_1_has_a_group_for_each_controller(tmp_path: Path) -> None:
    mounts = {name: tmp_path / name for name in cgroups.CONTROLLERS}
    for mount in mounts.values():
        mount.mkdir()
    limits = CgroupLimits(1.5, 256 * MIB, 99)
    Cgroups(1, mounts).make("vmdeck-x", limits)
    found = {path.name: path.read_text() for path in tmp_path.glob("*/vmdeck-x/*")}
    assert found == dict(limits.files(1))
    assert (tmp_path / "memory" / "vmdeck-x" / "memory.limit_in_bytes").exists()


def test_controllers_that_somebody_took_back_are_passed_on_again(tmp_path: Path) -> None:
    passed_on = tmp_path / "cgroup.subtree_control"
    passed_on.write_text("memory pids\n")
    Cgroups(2, dict.fromkeys(cgroups.CONTROLLERS, tmp_path)).make("vmdeck-x", CgroupLimits(1.5, 256 * MIB, 99))
    assert passed_on.read_text() == "+cpu"


def test_a_group_may_not_swap_where_swap_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def as_the_kernel_does(self: Path) -> None:
        mkdir(self)
        (self / "memory.swap.max").write_text("max\n")

    monkeypatch.setattr(Path, "mkdir", as_the_kernel_does)
    Cgroups(2, dict.fromkeys(cgroups.CONTROLLERS, tmp_path)).make("vmdeck-x", CgroupLimits(1.5, 256 * MIB, 99))
    assert (tmp_path / "vmdeck-x" / "memory.swap.max").read_text() == "0"
