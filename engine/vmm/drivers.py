"""From a choice to the driver that carries it out. A new VMM is one row here and one in host/choice.py."""

from __future__ import annotations

from collections.abc import Callable

from engine.host.choice import Chosen
from engine.settings import Settings
from engine.vmm.base import Vmm
from engine.vmm.firecracker import Firecracker
from engine.vmm.jailer import JailPolicy
from engine.vmm.qemu import Qemu


def driver(settings: Settings, chosen: Chosen) -> Vmm:
    """Raises NotReadyError where what the VMM's jail needs of the host is missing."""
    return _DRIVERS[chosen.choice.vmm](settings, chosen)


def _qemu(settings: Settings, chosen: Chosen) -> Vmm:
    return Qemu(settings, chosen.program.path, chosen.choice.accelerator, chosen.program.version)


def _firecracker(settings: Settings, chosen: Chosen) -> Vmm:
    program = chosen.program
    jails = JailPolicy.of_host(settings, program.path, program.jailer) if program.jailer else None
    return Firecracker(settings, program.path, program.version, cpu_template=settings.cpu_template, jails=jails)


_DRIVERS: dict[str, Callable[[Settings, Chosen], Vmm]] = {"qemu": _qemu, "firecracker": _firecracker}
