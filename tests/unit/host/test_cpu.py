"""What the checks make of a processor's flags and of the kernel's own words on its leaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.host import cpu
from engine.models import Severity
from tests.unit.host.fake_host import cpuinfo, surroundings, write


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
    found = cpu.virtualization(surroundings(tmp_path))
    assert found.severity is severity
    assert says in found.seen


def test_a_processor_without_such_flags_is_not_blamed(tmp_path: Path) -> None:
    write(tmp_path / "proc" / "cpuinfo", "Features\t: fp asimd\n")
    around = surroundings(tmp_path, on="aarch64")
    assert cpu.virtualization(around).severity is Severity.OK
    assert cpu.nested(around).severity is Severity.OK


def test_bare_metal_and_a_vm_are_told_apart(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    cpuinfo(tmp_path, "vmx")
    write(around.sys / "module" / "kvm_intel" / "parameters" / "nested", "Y\n")
    found = cpu.nested(around)
    assert (found.severity, found.seen) == (Severity.OK, "bare metal; kvm_intel nested=Y")
    cpuinfo(tmp_path, "vmx hypervisor")
    write(around.sys / "class" / "dmi" / "id" / "sys_vendor", "Amazon EC2\n")
    write(around.sys / "class" / "dmi" / "id" / "product_name", "m8i.large\n")
    found = cpu.nested(around)
    assert found.severity is Severity.INFO
    assert "virtual machine (Amazon EC2 m8i.large)" in found.seen


def leak(root: Path, name: str, state: str) -> None:
    write(root / "sys" / "devices" / "system" / "cpu" / "vulnerabilities" / name, f"{state}\n")


@pytest.mark.parametrize(
    "state",
    [
        "Vulnerable",
        "Vulnerable: Safe RET, no microcode",
        "KVM: Vulnerable",
        "Processor vulnerable",
        "Mitigation: Enhanced IBRS; IBPB: conditional; BHI: Vulnerable",
    ],
)
def test_an_open_leak_is_named(tmp_path: Path, state: str) -> None:
    leak(tmp_path, "meltdown", "Not affected")
    leak(tmp_path, "the_leak", state)
    found = cpu.vulnerabilities(surroundings(tmp_path))
    assert found.severity is Severity.DEGRADED
    assert found.seen.endswith(": the_leak")


@pytest.mark.parametrize(
    "state",
    [
        "Not affected",
        "Mitigation: PTI",
        "KVM: Mitigation: VMX disabled",
        "Mitigation: Clear CPU buffers; SMT vulnerable",
        "Mitigation: Retpolines; BHI: Vulnerable, KVM: SW loop",
        "Mitigation: Clear CPU buffers; SMT Host state unknown",
    ],
)
def test_a_mitigated_leak_is_fine(tmp_path: Path, state: str) -> None:
    leak(tmp_path, "mds", state)
    assert cpu.vulnerabilities(surroundings(tmp_path)).severity is Severity.OK


def test_a_kernel_that_tells_of_no_leaks_is_no_proof_of_none(tmp_path: Path) -> None:
    assert cpu.vulnerabilities(surroundings(tmp_path)).severity is Severity.INFO


def test_shared_cores_count_for_as_much_as_the_kernel_says_that_they_leak(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    assert cpu.smt(around).severity is Severity.OK
    active = write(around.sys / "devices" / "system" / "cpu" / "smt" / "active", "1\n")
    assert cpu.smt(around).severity is Severity.INFO
    leak(tmp_path, "mds", "Mitigation: Clear CPU buffers; SMT vulnerable")
    found = cpu.smt(around)
    assert found.severity is Severity.DEGRADED
    assert "mds" in found.seen
    active.write_text("0\n")
    assert cpu.smt(around).severity is Severity.OK
