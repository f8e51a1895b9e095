"""Checks of the programs that vmdeck drives."""

from __future__ import annotations

import shutil

from engine.errors import NotReadyError
from engine.folders import is_root
from engine.host.finding import Finding, Surroundings, blocked, degraded, info, ok
from engine.host.os_release import has_apt
from engine.host.programs import find_firecracker, firecracker_program, qemu_program

_BY_OWN_MEANS = "Install it by this distribution's own means: `vmdeck setup --dry-run` tells the commands."


async def qemu(around: Surroundings) -> Finding:
    """Blocks only where Firecracker can't be used instead."""
    try:
        program = await qemu_program(around.settings, around.machine)
    except NotReadyError as error:
        if around.settings.vmm == "firecracker" or await _has_firecracker(around):
            return info(f"{error.message}; not needed, Firecracker runs the VMs")
        if not around.settings.qemu_binary and not has_apt():
            return blocked(error.message, _BY_OWN_MEANS, by_hand=True)
        return blocked(error.message, error.remedy, by_hand=bool(around.settings.qemu_binary))
    return ok(f"{program.version} at {program.path}, accelerators: {', '.join(sorted(program.accelerators))}")


async def firecracker(around: Surroundings) -> Finding:
    """Judged by whether this host would use it: on native KVM, or where the settings name it."""
    settings = around.settings
    native = (await around.kvm()).kind == "native"
    try:
        program = await firecracker_program(settings)
    except NotReadyError as error:
        if settings.vmm == "firecracker":
            return blocked(error.message, error.remedy, by_hand=_is_found(around))
        if settings.vmm == "qemu":
            return info(f"{error.message}; not needed, QEMU is set")
        if not native:
            return info(f"{error.message}; not needed here, where KVM is not native")
        if settings.jail != "off" and not is_root():  # setup brings none that could not be jailed
            remedy = 'Run vmdeck as root, as the service does, or set jail = "off".'
            return degraded(f"{error.message}; runs use QEMU", remedy, by_hand=True)
        return degraded(f"{error.message}; runs use QEMU", error.remedy, by_hand=_is_found(around))
    jailed = f"jailer of the same release at {program.jailer}" if program.jailer else "without jailer"
    return ok(f"{program.version} at {program.path}, {jailed}")


def mmdebstrap(_around: Surroundings) -> Finding:
    found = shutil.which("mmdebstrap")
    if found:
        return ok(found)
    seen = "not on PATH; images can't be built from Debian packages"
    return degraded(seen) if has_apt() else degraded(seen, _BY_OWN_MEANS, by_hand=True)


def _is_found(around: Surroundings) -> bool:
    """It is there, so what is wrong with it is not for setup to mend."""
    try:
        find_firecracker(around.settings)
    except NotReadyError:
        return False
    return True


async def _has_firecracker(around: Surroundings) -> bool:
    if around.settings.vmm == "qemu" or (await around.kvm()).kind != "native":
        return False
    try:
        await firecracker_program(around.settings)
    except NotReadyError:
        return False
    return True
