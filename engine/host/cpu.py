"""Checks of the processor: virtualization, what this host runs on itself, and leaks between those who share it."""

from __future__ import annotations

import re

from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kernel_file import told

VIRTUALIZATION = {"vmx": "Intel VT-x", "svm": "AMD-V"}
_UNDER_HYPERVISOR = "hypervisor"
_NESTING_MODULES = ("kvm_intel", "kvm_amd")
_YES = {"1", "Y"}
_SMT_LEAKS = "SMT vulnerable"  # the kernel's own words on a leak between threads of one core
# The files hold parts like "Mitigation: IBRS", "Vulnerable: no microcode", "BHI: Vulnerable", "KVM: Vulnerable".
_OPEN = re.compile(r"(?:[\w-]+: |Processor )?vulnerable\b(?!, KVM: )", re.IGNORECASE)


def cpu_features(around: Surroundings) -> frozenset[str]:
    """The flags of the first processor; empty where this architecture shows none."""
    lines = (around.proc / "cpuinfo").read_text().splitlines()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def virtualization(around: Surroundings) -> Finding:
    if around.machine != "x86_64":
        return ok(f"{around.machine}: shows no such flag; the KVM check tells")
    flags = cpu_features(around)
    for flag, name in VIRTUALIZATION.items():
        if flag in flags:
            return ok(f"{name} ({flag})")
    if _UNDER_HYPERVISOR in flags:
        return degraded(
            "no vmx or svm flag; this host is a virtual machine itself",
            "Ask the provider for nested virtualization, or use a bare-metal instance.",
        )
    return degraded("no vmx or svm flag")


def nested(around: Surroundings) -> Finding:
    """Whether this host is a VM itself, and whether its own KVM lets guests have virtualization."""
    switches = {name: told(around.sys / "module" / name / "parameters" / "nested") for name in _NESTING_MODULES}
    switch = next((f"; {name} nested={value}" for name, value in switches.items() if value is not None), "")
    if around.machine != "x86_64":
        return ok(f"{around.machine}: does not tell")
    if _UNDER_HYPERVISOR not in cpu_features(around):
        return ok(f"bare metal{switch}")
    dmi = around.sys / "class" / "dmi" / "id"
    maker = " ".join(filter(None, (told(dmi / "sys_vendor"), told(dmi / "product_name"))))
    seen = f"this host is a virtual machine{f' ({maker})' if maker else ''}{switch}"
    return info(f"{seen}; microVMs on it run nested, slower than on bare metal")


def smt(around: Surroundings) -> Finding:
    """Degraded only where the kernel itself says that threads of one core leak to each other."""
    if told(around.sys / "devices" / "system" / "cpu" / "smt" / "active") not in _YES:
        return ok("off, or one thread a core")
    leaking = [name for name, state in _vulnerabilities(around) if _SMT_LEAKS in state]
    if leaking:
        return degraded(f"on, and this processor leaks between threads of a core: {', '.join(leaking)}")
    return info(
        "on: two microVMs may share a core", "For tenants who must not watch each other: boot with nosmt=force."
    )


def vulnerabilities(around: Surroundings) -> Finding:
    states = _vulnerabilities(around)
    if not states:
        return info("this kernel does not tell")
    found = [name for name, state in states if any(_OPEN.match(part.strip()) for part in state.split(";"))]
    if found:
        return degraded(f"{len(found)} without full mitigation: {', '.join(found)}")
    return ok(f"{len(states)} known ones, each mitigated or not of this processor")


def _vulnerabilities(around: Surroundings) -> list[tuple[str, str]]:
    folder = around.sys / "devices" / "system" / "cpu" / "vulnerabilities"
    return [(path.name, path.read_text().strip()) for path in sorted(folder.glob("*"))]
