"""Checks of KVM as this user meets it: what it is worth, whether it opens, whether its module is there."""

from __future__ import annotations

import grp
import os
import pwd
import stat

from engine.host.cpu import VIRTUALIZATION, cpu_features
from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kvm import PROBED_MACHINES, PVM_MODULE, host_module

_MODULES = {"vmx": "kvm_intel", "svm": "kvm_amd"}
_GROUP_READS_AND_WRITES = stat.S_IRGRP | stat.S_IWGRP
_NOT_NATIVE = {
    "emulated": "present but emulated",
    "denied": "present but denied to this user",
    "absent": "absent",
}


async def kvm_runs(around: Surroundings) -> Finding:
    verdict = await around.kvm()
    if verdict.kind == "native":
        probed = around.machine in PROBED_MACHINES
        return ok(f"native: {verdict.detail}") if probed else info(f"native, not measured: {verdict.detail}")
    remedy = ""
    if verdict.kind == "denied":
        remedy = "Give this user access to the device: see the check on its permission."
    elif verdict.module is not None and PVM_MODULE in verdict.module:
        remedy = (
            "Use a host with hardware virtualization, or bring a guest kernel built for PVM and set accelerator = kvm."
        )
    by_hand = around.settings.accelerator == "kvm" or around.settings.vmm == "firecracker"
    effect = "used all the same, as set by hand" if by_hand else "QEMU runs VMs by software emulation instead"
    return degraded(f"{_NOT_NATIVE[verdict.kind]}: {verdict.detail}; {effect}", remedy)


def kvm_permission(around: Surroundings) -> Finding:
    device = around.kvm_device
    try:
        found = device.stat()
    except FileNotFoundError:
        return info(f"{device} does not exist")
    mode, group = f"{stat.S_IMODE(found.st_mode):03o}", _group_name(found.st_gid)
    if os.access(device, os.R_OK | os.W_OK):
        return ok(f"{device} opens for {_user_name()} (mode {mode}, group {group})")
    seen = f"{_user_name()} may not open {device} (mode {mode}, group {group})"
    if found.st_mode & _GROUP_READS_AND_WRITES != _GROUP_READS_AND_WRITES:
        return degraded(
            f"{seen}; nor may its group",
            f"As root: chgrp kvm {device} && chmod 660 {device}, and a udev rule to keep it; or run vmdeck as root.",
            by_hand=True,
        )
    if _is_listed(found.st_gid):
        return degraded(
            f"{seen}; the group has {_user_name()}, but this login began before", "Log in again.", by_hand=True
        )
    return degraded(seen, f"As root: usermod -aG {group} {_user_name()}, then log in again; or: vmdeck setup")


def kvm_modules(around: Surroundings) -> Finding:
    loaded = host_module(around.sys / "module")
    if around.kvm_device.exists():
        return ok(loaded or "built into the kernel")
    wanted = next((_MODULES[flag] for flag in VIRTUALIZATION if flag in cpu_features(around)), None)
    if wanted is None:
        return info(f"{loaded or 'none'}; the processor offers nothing that one could use")
    seen = f"{loaded or f'{wanted} not loaded'}, and no {around.kvm_device}"
    if not (around.modules / os.uname().release).is_dir():
        remedy = f"Load it where this container runs: modprobe {wanted}; and give the container {around.kvm_device}."
        return degraded(f"{seen}; no modules of this kernel are here, as in a container", remedy, by_hand=True)
    return degraded(seen, f"As root: modprobe {wanted}, or: vmdeck setup")


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a number that no account has
        return f"user {os.geteuid()}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _is_listed(gid: int) -> bool:
    """The account is in the group by the files of the system, whatever this process has."""
    try:
        account = pwd.getpwuid(os.geteuid())
        return account.pw_gid == gid or account.pw_name in grp.getgrgid(gid).gr_mem
    except KeyError:
        return False
