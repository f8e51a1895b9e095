"""Checks of the host: each tells what it saw, none can break or hold up the others."""

from __future__ import annotations

import asyncio
import ctypes
import resource
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from engine.host import machine, stores, tools
from engine.host.checks import CHECKS, CheckSpec, in_thread, run_check, run_checks, verdict
from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kvm import KvmKind, KvmVerdict
from engine.host.vsock import vsock
from engine.models import Check, Severity
from engine.settings import Settings

SETUP_STEPS = {"packages", "folders", "kernel", "initramfs", "image", "snapshot"}
MIB = 1024 * 1024


def settings_at(root: Path, **more: object) -> Settings:
    return Settings.model_validate({"data_dir": root / "data", "runtime_dir": root / "run", **more})


def surroundings(root: Path, *, kvm: KvmVerdict | None = None, on: str = "x86_64", **more: object) -> Surroundings:
    """A host whose kernel folders are below ``root``."""
    verdict = kvm or KvmVerdict(kind="absent", detail="the evidence")
    return Surroundings(
        settings_at(root, **more),
        kvm=lambda: asyncio.sleep(0, verdict),
        machine=on,
        kvm_device=root / "dev" / "kvm",
        proc=root / "proc",
        sys=root / "sys",
        dev=root / "dev",
    )


def spec(probe: object, **more: object) -> CheckSpec:
    return CheckSpec("id", "title", probe, why="why", **more)  # type: ignore[arg-type]


def check(severity: Severity) -> Check:
    return Check(id="id", title="title", severity=severity, seen="")


# --- the frame


async def test_all_checks_of_this_host_come_back_in_order_and_in_time(tmp_path: Path) -> None:
    begun = time.monotonic()
    checks = await run_checks(settings_at(tmp_path), fresh=True)
    assert time.monotonic() - begun < 3
    assert [check.id for check in checks] == [spec.id for spec in CHECKS]
    assert not [check.seen for check in checks if "the check itself failed" in check.seen]


async def test_what_is_not_fine_has_a_remedy(tmp_path: Path) -> None:
    checks = await run_checks(settings_at(tmp_path))
    assert not [
        check.id for check in checks if check.severity in (Severity.DEGRADED, Severity.BLOCKED) and not check.remedy
    ]


def test_ids_are_unique_and_setup_steps_exist() -> None:
    assert max(Counter(spec.id for spec in CHECKS).values()) == 1
    assert {spec.fixed_by for spec in CHECKS} - {None} == SETUP_STEPS


async def test_a_check_that_crashes_is_a_degraded_finding_that_says_so(tmp_path: Path) -> None:
    def crash(_around: Surroundings) -> Finding:
        raise RuntimeError("wires crossed")

    found = await run_check(spec(in_thread(crash)), surroundings(tmp_path))
    assert found.severity is Severity.DEGRADED
    assert "RuntimeError: wires crossed" in found.seen


async def test_a_check_that_hangs_is_cut_off_and_the_others_stand(tmp_path: Path) -> None:
    async def hang(_around: Surroundings) -> Finding:
        await asyncio.Event().wait()
        return ok("never")

    async def quick(_around: Surroundings) -> Finding:
        return ok("here")

    known = KvmVerdict(kind="absent", detail="")
    late, fine = await run_checks(settings_at(tmp_path), kvm=known, specs=[spec(hang, deadline_s=0.05), spec(quick)])
    assert (late.severity, fine.severity) == (Severity.DEGRADED, Severity.OK)
    assert "no end within 0.05 s" in late.seen


async def test_a_remedy_of_the_finding_goes_before_that_of_the_check(tmp_path: Path) -> None:
    async def own(_around: Surroundings) -> Finding:
        return degraded("seen", "its own")

    async def plain(_around: Surroundings) -> Finding:
        return degraded("seen")

    around = surroundings(tmp_path)
    assert (await run_check(spec(own, remedy="general"), around)).remedy == "its own"
    assert (await run_check(spec(plain, remedy="general"), around)).remedy == "general"


async def test_what_is_fine_offers_no_cure(tmp_path: Path) -> None:
    async def fine(_around: Surroundings) -> Finding:
        return info("seen")

    found = await run_check(spec(fine, remedy="general", fixed_by="packages"), surroundings(tmp_path))
    assert (found.remedy, found.fixed_by) == ("", None)


@pytest.mark.parametrize(
    ("severities", "worst"),
    [
        ([], "ok"),
        ([Severity.OK, Severity.INFO], "ok"),
        ([Severity.OK, Severity.DEGRADED], "degraded"),
        ([Severity.DEGRADED, Severity.BLOCKED], "blocked"),
    ],
)
def test_the_verdict_is_the_worst_finding(severities: list[Severity], worst: str) -> None:
    assert verdict([check(severity) for severity in severities]) == worst


# --- processor and KVM


def cpuinfo(root: Path, flags: str) -> None:
    (root / "proc").mkdir()
    (root / "proc" / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")


@pytest.mark.parametrize(
    ("flags", "severity", "says"),
    [
        ("fpu vmx sse", Severity.OK, "VT-x"),
        ("fpu svm sse", Severity.OK, "AMD-V"),
        ("fpu vmxfoo", Severity.DEGRADED, "no vmx or svm"),
        ("fpu hypervisor", Severity.DEGRADED, "virtual machine itself"),
        ("", Severity.DEGRADED, "no vmx or svm"),
    ],
)
def test_virtualization_is_read_from_the_flags(tmp_path: Path, flags: str, severity: Severity, says: str) -> None:
    cpuinfo(tmp_path, flags)
    found = machine.cpu_flags(surroundings(tmp_path))
    assert found.severity is severity
    assert says in found.seen


def test_a_processor_without_such_flags_is_not_blamed(tmp_path: Path) -> None:
    assert machine.cpu_flags(surroundings(tmp_path, on="aarch64")).severity is Severity.INFO


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
    found = await machine.kvm_runs(surroundings(tmp_path, kvm=KvmVerdict(kind=kind, detail="the evidence")))
    assert found.severity is severity
    assert "the evidence" in found.seen
    assert ("software emulation" in found.seen) == (kind != "native")


async def test_emulating_kvm_that_is_set_by_hand_is_said_to_be_used(tmp_path: Path) -> None:
    slow = KvmVerdict(kind="emulated", detail="slow")
    found = await machine.kvm_runs(surroundings(tmp_path, kvm=slow, accelerator="kvm"))
    assert "set by hand" in found.seen
    assert "software emulation" not in found.seen


def test_a_kvm_device_that_does_not_open_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    around = surroundings(tmp_path)
    assert machine.kvm_permission(around).severity is Severity.INFO
    around.dev.mkdir()
    around.kvm_device.touch()
    assert machine.kvm_permission(around).severity is Severity.OK
    monkeypatch.setattr("os.access", lambda *_: False)
    found = machine.kvm_permission(around)
    assert found.severity is Severity.DEGRADED
    assert "usermod -aG kvm" in found.remedy


def test_vsock_is_listed_and_never_required(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    assert vsock(around).seen.startswith("none; not needed")
    around.dev.mkdir()
    (around.dev / "vhost-vsock").touch()
    (around.sys / "module" / "vsock").mkdir(parents=True)
    found = vsock(around)
    assert found.severity is Severity.INFO
    assert found.seen.startswith("/dev/vhost-vsock, module vsock;")


# --- kernel and room


@pytest.mark.parametrize(
    ("available_mib", "severity"), [(2000, Severity.OK), (400, Severity.DEGRADED), (300, Severity.DEGRADED)]
)
def test_memory_is_weighed_against_what_full_load_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available_mib: int, severity: Severity
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available_mib * MIB))
    found = machine.memory(surroundings(tmp_path, default_memory_mib=256, max_running=4))

    assert found.severity is severity  # not even one fitting is no block: guests seldom touch all they have


def test_cgroup_versions_are_told_apart(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    root = around.sys / "fs" / "cgroup"
    assert machine.cgroups(around).severity is Severity.DEGRADED
    for name in ("cpu", "memory", "pids"):
        (root / name).mkdir(parents=True)
    assert machine.cgroups(around).seen.startswith("v1")
    (root / "cgroup.controllers").write_text("cpu memory\n")
    assert machine.cgroups(around).seen == "v2, without pids"
    (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    assert machine.cgroups(around) == ok("v2")


@pytest.mark.parametrize(
    ("soft", "severity"),
    [(100, Severity.DEGRADED), (100_000, Severity.OK), (resource.RLIM_INFINITY, Severity.OK)],
)
def test_open_files_are_weighed_against_full_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soft: int, severity: Severity
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert machine.open_files(surroundings(tmp_path)).severity is severity


def test_the_clock_check_reads_the_kernel_without_changing_it(tmp_path: Path) -> None:
    found = machine.clock(surroundings(tmp_path))
    assert found.severity in (Severity.OK, Severity.INFO)
    assert "the kernel does not tell" not in found.seen
    assert ctypes.sizeof(machine._Timex) >= 208  # the kernel writes this much


# --- what is on disk


@pytest.mark.parametrize("check_id", ["kernel", "initramfs", "images"])
async def test_a_missing_artefact_blocks_and_names_its_step(tmp_path: Path, check_id: str) -> None:
    wanted = next(spec for spec in CHECKS if spec.id == check_id)
    around = surroundings(tmp_path)
    found = await run_check(wanted, around)
    assert (found.severity, found.fixed_by) == (Severity.BLOCKED, wanted.fixed_by)
    folder = {
        "kernel": around.settings.kernels_dir,
        "initramfs": around.settings.guest_dir,
        "images": around.settings.images_dir,
    }[check_id]
    manifest(folder, "first", "{}")
    found = await run_check(wanted, around)
    assert (found.severity, found.seen) == (Severity.OK, "first")


def manifest(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "manifest.json").write_text(text)


async def test_a_broken_manifest_is_named_and_counts_for_nothing(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    images = next(spec for spec in CHECKS if spec.id == "images")
    manifest(around.settings.images_dir, "torn", "{")
    manifest(around.settings.images_dir, ".half-made", "{}")
    found = await run_check(images, around)
    assert (found.severity, found.seen.endswith(": torn")) == (Severity.BLOCKED, True)
    manifest(around.settings.images_dir, "whole", "{}")
    found = await run_check(images, around)
    assert (found.severity, found.seen) == (Severity.DEGRADED, "whole; not readable: torn")


def test_a_snapshot_of_another_language_is_none_for_python(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    manifest(around.settings.snapshots_dir, "shell", '{"language": "bash"}')
    assert stores.python_snapshot(around).severity is Severity.DEGRADED
    manifest(around.settings.snapshots_dir, "snake", '{"language": "python"}')
    assert stores.python_snapshot(around) == ok("snake")


def test_folders_are_missing_then_there_then_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    around = Surroundings(
        Settings(data_dir=tmp_path / "d", runtime_dir=Path("/run/vmdeck-check")),
        kvm=surroundings(tmp_path).kvm,
        machine="x86_64",
    )
    assert "not made yet" in stores.folders(around).seen
    monkeypatch.setattr("os.access", lambda *_: False)
    found = stores.folders(around)
    assert found.severity is Severity.BLOCKED
    assert "can't be written" in found.seen


def test_a_runtime_folder_too_long_for_sockets_blocks(tmp_path: Path) -> None:
    found = stores.folders(surroundings(tmp_path / ("long" * 30)))
    assert found.severity is Severity.BLOCKED
    assert "too long" in found.seen


@pytest.mark.parametrize(
    ("free_mib", "severity"), [(100, Severity.BLOCKED), (1000, Severity.DEGRADED), (9000, Severity.OK)]
)
def test_disk_room_is_graded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, severity: Severity
) -> None:
    monkeypatch.setattr(stores, "free_bytes", lambda _: free_mib * MIB)
    assert stores.disk_room(surroundings(tmp_path)).severity is severity


async def test_a_missing_qemu_blocks_with_its_remedy(tmp_path: Path) -> None:
    found = await tools.qemu(surroundings(tmp_path, qemu_binary=str(tmp_path / "none")))
    assert found.severity is Severity.BLOCKED
    assert found.remedy


def test_a_missing_mmdebstrap_degrades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.mmdebstrap(surroundings(tmp_path)).severity is Severity.DEGRADED
