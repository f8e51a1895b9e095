"""Checks of the machine and its kernel: processor, KVM, memory, cgroups, open files, clock."""

from __future__ import annotations

import ctypes
import getpass
import os
import resource

import psutil

from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kvm import PVM_MODULE

_FLAGS = {"vmx": "Intel VT-x", "svm": "AMD-V"}
_VMM_OVERHEAD_MIB = 96  # QEMU itself, beside the guest's memory
_OPEN_FILES_PER_VM = 32
_OPEN_FILES_BASE = 256
_MIB = 1024 * 1024
_CGROUP_V2_FILE = "cgroup.controllers"
_NEEDED_CONTROLLERS = ("cpu", "memory", "pids")


def cpu_flags(around: Surroundings) -> Finding:
    if around.machine != "x86_64":
        return info(f"{around.machine}: shows no such flag; the KVM check tells")
    lines = (around.proc / "cpuinfo").read_text().splitlines()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split()
    for flag, name in _FLAGS.items():
        if flag in flags:
            return ok(f"{name} ({flag})")
    if "hypervisor" in flags:
        return degraded(
            "no vmx or svm flag; this host is a virtual machine itself",
            "Ask the provider for nested virtualization, or use a bare-metal instance.",
        )
    return degraded("no vmx or svm flag")


async def kvm_runs(around: Surroundings) -> Finding:
    verdict = await around.kvm()
    if verdict.kind == "native":
        return ok(verdict.detail)
    remedy = ""
    if verdict.kind == "denied":
        remedy = "Give this user access to the device: see the check on its permission."
    elif verdict.module is not None and PVM_MODULE in verdict.module:
        remedy = (
            "Use a host with hardware virtualization, or bring a guest kernel built for PVM and set accelerator = kvm."
        )
    obeyed = around.settings.accelerator == "kvm"
    effect = "used all the same, as set by hand" if obeyed else "VMs run by software emulation, slower but as isolated"
    return degraded(f"{verdict.kind}: {verdict.detail}; {effect}", remedy)


def kvm_permission(around: Surroundings) -> Finding:
    device = around.kvm_device
    try:
        mode = device.stat()
    except FileNotFoundError:
        return info(f"{device} does not exist")
    if os.access(device, os.R_OK | os.W_OK):
        return ok(f"{device} can be opened")
    user = getpass.getuser()
    return degraded(
        f"{user} may not open {device} (mode {mode.st_mode & 0o777:o}, group {mode.st_gid})",
        f"usermod -aG kvm {user}, then log in again.",
    )


def memory(around: Surroundings) -> Finding:
    available = psutil.virtual_memory().available // _MIB
    one_vm = around.settings.default_memory_mib + _VMM_OVERHEAD_MIB
    wanted = one_vm * around.settings.max_running
    seen = f"{available:,} MiB available; {around.settings.max_running} VMs at once may take {wanted:,} MiB"
    if available >= wanted:
        return ok(seen)
    if available >= one_vm:
        return degraded(seen, f"Lower max_running to {available // one_vm}, or free memory.")
    return degraded(f"{seen}; not even one fits", "Free memory, or lower default_memory_mib.")


def cgroups(around: Surroundings) -> Finding:
    root = around.sys / "fs" / "cgroup"
    if (root / _CGROUP_V2_FILE).exists():
        controllers = set((root / _CGROUP_V2_FILE).read_text().split())
        missing = [name for name in _NEEDED_CONTROLLERS if name not in controllers]
        return degraded(f"v2, without {', '.join(missing)}") if missing else ok("v2")
    missing = [name for name in _NEEDED_CONTROLLERS if not (root / name).is_dir()]
    if not missing:
        return ok("v1, controllers mounted one by one (v2 is preferred where it has them)")
    return degraded(f"no v2 hierarchy, and of v1 {', '.join(missing)} missing")


def open_files(around: Surroundings) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OPEN_FILES_BASE + _OPEN_FILES_PER_VM * (around.settings.max_running + around.settings.max_queued)
    seen = f"{_limit(soft)} (hard {_limit(hard)}); {needed} needed at full load"
    enough = soft == resource.RLIM_INFINITY or soft >= needed
    return ok(seen) if enough else degraded(seen, f"ulimit -n {needed}, or LimitNOFILE={needed} in the service's unit.")


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read; modes 0 changes nothing."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


_STA_UNSYNC = 0x40


def clock(around: Surroundings) -> Finding:
    """What the kernel's clock says of itself; guests get their time from it."""
    state = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.byref(state)) < 0:
        return info(f"the kernel does not tell: {os.strerror(ctypes.get_errno())}")
    if state.status & _STA_UNSYNC:
        return info(
            "not synchronized, says the kernel; guests get this clock's time",
            "Run a time service, such as systemd-timesyncd or chrony.",
        )
    return ok(f"synchronized, error at most {state.maxerror / 1000:.0f} ms")
