"""KVM as this user meets it: its worth, its permission, its module."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.host import kvm_device
from engine.host.finding import Surroundings
from engine.host.kvm import KvmKind, KvmVerdict, classify
from engine.host.vsock import vsock
from engine.models import Severity
from tests.unit.host.fake_host import cpuinfo, surroundings, write


@pytest.mark.parametrize(
    ("kind", "severity"),
    [
        ("native", Severity.OK),
        ("emulated", Severity.DEGRADED),
        ("denied", Severity.DEGRADED),
        ("absent", Severity.DEGRADED),
    ],
)
async def test_a_host_without_native_kvm_is_slower_but_not_blocked(
    tmp_path: Path, kind: KvmKind, severity: Severity
) -> None:
    found = await kvm_device.kvm_runs(surroundings(tmp_path, kvm=kind))
    assert found.severity is severity
    assert "the evidence" in found.seen
    assert ("QEMU runs VMs by software emulation" in found.seen) == (kind != "native")


async def test_emulating_kvm_is_told_with_its_rate_its_reason_and_what_runs_instead(tmp_path: Path) -> None:
    measured = classify({"iterations": 1_000_000, "cpu_ms": 1400.0, "halted": True}, Path("/dev/kvm"), "kvm_pvm")
    found = await kvm_device.kvm_runs(surroundings(tmp_path, kvm=measured))
    for words in ("present but emulated", "1,400 ms", "kvm_pvm", "built for PVM", "QEMU", "emulation"):
        assert words in found.seen
    assert "PVM" in found.remedy


@pytest.mark.parametrize("more", [{"accelerator": "kvm"}, {"vmm": "firecracker"}])
async def test_emulating_kvm_that_is_set_by_hand_is_said_to_be_used(tmp_path: Path, more: dict[str, str]) -> None:
    slow = KvmVerdict(kind="emulated", detail="slow")
    found = await kvm_device.kvm_runs(surroundings(tmp_path, kvm=slow, **more))
    assert "set by hand" in found.seen
    assert "software emulation" not in found.seen


# --- permission


@pytest.fixture
def device(tmp_path: Path) -> Surroundings:
    around = surroundings(tmp_path)
    write(around.kvm_device, mode=0o660)
    return around


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user ann, whom the device lets not in."""
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="ann", pw_gid=-1))
    in_group(monkeypatch)


def in_group(monkeypatch: pytest.MonkeyPatch, *members: str) -> None:
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name="virt", gr_mem=list(members)))


def test_no_device_is_for_other_checks_to_judge(tmp_path: Path) -> None:
    assert kvm_device.kvm_permission(surroundings(tmp_path)).severity is Severity.INFO


def test_a_device_that_opens_is_fine(device: Surroundings) -> None:
    assert kvm_device.kvm_permission(device).severity is Severity.OK


@pytest.mark.usefixtures("shut")
def test_a_user_outside_the_group_is_told_its_name_and_how_to_join(device: Surroundings) -> None:
    found = kvm_device.kvm_permission(device)
    assert found.severity is Severity.DEGRADED
    assert "ann may not open" in found.seen
    assert "mode 660, group virt" in found.seen
    assert "usermod -aG virt ann" in found.remedy
    assert not found.by_hand


@pytest.mark.usefixtures("shut")
def test_a_member_whose_login_is_older_has_to_log_in_again_only(
    device: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_group(monkeypatch, "ann")
    found = kvm_device.kvm_permission(device)
    assert found.severity is Severity.DEGRADED
    assert "this login began before" in found.seen
    assert (found.remedy, found.by_hand) == ("Log in again.", True)


@pytest.mark.usefixtures("shut")
def test_where_the_group_may_not_either_joining_it_is_not_advised(device: Surroundings) -> None:
    device.kvm_device.chmod(0o600)
    found = kvm_device.kvm_permission(device)
    assert "nor may its group" in found.seen
    assert "usermod" not in found.remedy


def test_ids_without_a_name_are_shown_as_numbers(device: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    for module, name in ((pwd, "getpwuid"), (grp, "getgrgid")):
        monkeypatch.setattr(module, name, nobody)
    assert f"user {os.geteuid()}" in kvm_device.kvm_permission(device).seen
    monkeypatch.setattr("os.access", lambda *_: False)
    assert kvm_device.kvm_permission(device).severity is Severity.DEGRADED


async def test_native_kvm_that_was_not_measured_is_told_as_such(tmp_path: Path) -> None:
    found = await kvm_device.kvm_runs(surroundings(tmp_path, kvm="native", on="aarch64"))
    assert (found.severity, "not measured" in found.seen) == (Severity.INFO, True)


# --- modules


def test_a_module_is_missed_only_where_the_processor_could_use_it(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    cpuinfo(tmp_path, "fpu")
    assert kvm_device.kvm_modules(around).severity is Severity.INFO
    cpuinfo(tmp_path, "fpu svm")
    found = kvm_device.kvm_modules(around)
    assert (found.severity, found.by_hand) == (Severity.DEGRADED, True), "a container has no modules to load"
    (around.modules / os.uname().release).mkdir(parents=True)
    found = kvm_device.kvm_modules(around)
    assert (found.severity, found.by_hand) == (Severity.DEGRADED, False)
    assert "modprobe kvm_amd" in found.remedy
    write(around.kvm_device)
    (around.sys / "module" / "kvm_amd").mkdir(parents=True)
    found = kvm_device.kvm_modules(around)
    assert (found.severity, found.seen) == (Severity.OK, "kvm_amd")


def test_vsock_is_listed_and_never_required(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    assert vsock(around).seen.startswith("none; not needed")
    write(around.dev / "vhost-vsock")
    (around.sys / "module" / "vsock").mkdir(parents=True)
    found = vsock(around)
    assert found.severity is Severity.OK
    assert found.seen.startswith("/dev/vhost-vsock, module vsock; not needed")
