"""A program that is missing or unfit counts for as much as this host needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.host import programs, tools
from engine.models import Severity
from tests.unit.host.fake_host import surroundings
from tests.unit.host.programs import GOOD_QEMU, install_firecracker, script


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with the shell and what it needs only, as root."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "is_root", lambda: True)
    monkeypatch.setattr(programs, "require_jailable", lambda jails: None)
    monkeypatch.setattr(tools, "is_root", lambda: True)
    monkeypatch.setattr(tools, "has_apt", lambda: True)


async def test_a_missing_qemu_blocks_with_its_remedy(tmp_path: Path) -> None:
    found = await tools.qemu(surroundings(tmp_path))
    assert (found.severity, found.by_hand) == (Severity.BLOCKED, False)
    assert found.remedy


async def test_what_setup_would_not_install_here_is_for_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "has_apt", lambda: False)
    assert (await tools.qemu(surroundings(tmp_path))).by_hand
    assert tools.mmdebstrap(surroundings(tmp_path)).by_hand


async def test_a_wrong_path_of_qemu_is_for_the_operator_to_mend(tmp_path: Path) -> None:
    found = await tools.qemu(surroundings(tmp_path, qemu_binary=str(tmp_path / "none")))
    assert (found.severity, found.by_hand) == (Severity.BLOCKED, True)


async def test_a_missing_qemu_is_no_defect_where_firecracker_runs_the_vms(tmp_path: Path) -> None:
    around = surroundings(tmp_path, kvm="native")
    install_firecracker(around.settings.data_dir)
    assert (await tools.qemu(around)).severity is Severity.INFO
    assert (await tools.qemu(surroundings(tmp_path, vmm="firecracker"))).severity is Severity.INFO
    assert (await tools.qemu(surroundings(tmp_path, kvm="native", vmm="qemu"))).severity is Severity.BLOCKED


async def test_qemu_tells_its_version_and_accelerators(tmp_path: Path) -> None:
    qemu = script(tmp_path / "qemu", GOOD_QEMU)
    found = await tools.qemu(surroundings(tmp_path, qemu_binary=str(qemu)))
    assert found.severity is Severity.OK
    assert "9.8.7" in found.seen
    assert "kvm, tcg" in found.seen


def test_a_missing_mmdebstrap_degrades(tmp_path: Path) -> None:
    assert tools.mmdebstrap(surroundings(tmp_path)).severity is Severity.DEGRADED
    script(tmp_path / "bin" / "mmdebstrap", "")
    assert tools.mmdebstrap(surroundings(tmp_path)).severity is Severity.OK


# --- Firecracker


async def test_a_missing_firecracker_that_could_not_be_jailed_is_not_for_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "is_root", lambda: False)
    found = await tools.firecracker(surroundings(tmp_path, kvm="native"))
    assert (found.severity, found.by_hand) == (Severity.DEGRADED, True)


async def test_firecracker_tells_its_release_and_that_of_its_jailer(tmp_path: Path) -> None:
    around = surroundings(tmp_path, kvm="native")
    install_firecracker(around.settings.data_dir)
    found = await tools.firecracker(around)
    assert found.severity is Severity.OK
    assert found.seen.startswith("1.12.1 at ")
    assert "jailer of the same release" in found.seen


@pytest.mark.parametrize(
    ("kvm", "vmm", "severity"),
    [
        ("native", "auto", Severity.DEGRADED),
        ("native", "qemu", Severity.INFO),
        ("emulated", "auto", Severity.INFO),
        ("absent", "auto", Severity.INFO),
        ("emulated", "firecracker", Severity.BLOCKED),
    ],
)
async def test_a_missing_firecracker_counts_where_it_would_be_used(
    tmp_path: Path, kvm: str, vmm: str, severity: Severity
) -> None:
    found = await tools.firecracker(surroundings(tmp_path, kvm=kvm, vmm=vmm))  # type: ignore[arg-type]
    assert found.severity is severity
    assert "not installed" in found.seen
    assert ("not needed" in found.seen) == (severity is Severity.INFO)
    assert not found.by_hand


@pytest.mark.parametrize(
    ("version", "jailer", "reason"),
    [("1.11.0", None, "too old"), ("1.16.0", None, "vsock of every clone"), ("1.12.1", "1.13.0", "is of release")],
)
async def test_an_unfit_firecracker_is_told_and_not_for_setup_to_mend(
    tmp_path: Path, version: str, jailer: str | None, reason: str
) -> None:
    around = surroundings(tmp_path, kvm="native")
    install_firecracker(around.settings.data_dir, version, jailer)
    found = await tools.firecracker(around)
    assert (found.severity, found.by_hand) == (Severity.DEGRADED, True)
    assert reason in found.seen
    assert found.remedy
