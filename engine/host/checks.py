"""The host's health checks, as data. A new check is one entry in ``CHECKS`` and a function that looks.

A check tells what it saw; why that matters and what to do about it stands here. Checks run side by side, each with
its own deadline, and one that fails by itself is reported as a finding, never raised.
"""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine import models
from engine.host import machine, stores, tools
from engine.host.finding import Finding, Look, Surroundings, blocked, degraded
from engine.host.kvm import PROBE_DEADLINE_S, KvmVerdict, kvm_verdict
from engine.host.vsock import vsock
from engine.models import Severity
from engine.settings import Settings

_QUICK_S = 2.0
_KVM_S = PROBE_DEADLINE_S + 0.4

log = logging.getLogger(__name__)

Probe = Callable[[Surroundings], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check. ``remedy`` is what to do where the finding brings none of its own; ``fixed_by`` names a setup step."""

    id: str
    title: str
    probe: Probe
    why: str
    remedy: str = ""
    fixed_by: str | None = None
    deadline_s: float = _QUICK_S


def in_thread(look: Look) -> Probe:
    """A check that reads files, as one that lets the others go on meanwhile."""

    async def probe(around: Surroundings) -> Finding:
        return await asyncio.to_thread(look, around)

    return probe


CHECKS: tuple[CheckSpec, ...] = (
    CheckSpec(
        "cpu.virtualization",
        "CPU offers virtualization",
        in_thread(machine.cpu_flags),
        why="Without it KVM can't run guest code on the hardware, and VMs are emulated in software.",
        remedy="Enable VT-x or AMD-V in the firmware, or use a host that has it.",
    ),
    CheckSpec(
        "kvm.runs",
        "KVM runs guest code",
        machine.kvm_runs,
        why="A device that opens may still emulate: only guest code that ran at speed proves hardware virtualization.",
        remedy="Use a host with hardware virtualization for runs in milliseconds; here they take longer but work.",
        deadline_s=_KVM_S,
    ),
    CheckSpec(
        "kvm.permission",
        "KVM may be opened",
        in_thread(machine.kvm_permission),
        why="The VMM runs as this user and opens the device itself.",
    ),
    CheckSpec(
        "vsock",
        "vsock",
        in_thread(vsock),
        why="A way for host and guest to talk that some VMMs use.",
    ),
    CheckSpec(
        "qemu",
        "QEMU is installed",
        tools.qemu,
        why="It runs the microVMs.",
        fixed_by="packages",
    ),
    CheckSpec(
        "mmdebstrap",
        "mmdebstrap is installed",
        in_thread(tools.mmdebstrap),
        why="It makes root file systems from Debian packages.",
        remedy="Run: apt-get install mmdebstrap, or: vmdeck setup",
        fixed_by="packages",
    ),
    CheckSpec(
        "folders",
        "Folders can be written",
        in_thread(stores.folders),
        why="Images, snapshots and history live in the data folder, sockets of live VMs in the runtime folder.",
        remedy="Run: vmdeck setup, or set data_dir and runtime_dir to folders of this user.",
        fixed_by="folders",
    ),
    CheckSpec(
        "kernel",
        "Guest kernel",
        in_thread(stores.artefact(lambda settings: settings.kernels_dir, missing=blocked)),
        why="Every microVM boots it.",
        remedy="Run: vmdeck setup",
        fixed_by="kernel",
    ),
    CheckSpec(
        "initramfs",
        "Guest initramfs",
        in_thread(stores.artefact(lambda settings: settings.guest_dir, missing=blocked)),
        why="It holds the agent that runs code inside the microVM.",
        remedy="Run: vmdeck setup",
        fixed_by="initramfs",
    ),
    CheckSpec(
        "images",
        "Images",
        in_thread(stores.artefact(lambda settings: settings.images_dir, missing=blocked)),
        why="A language runs from an image; without one nothing runs.",
        remedy="Run: vmdeck setup, or build one: vmdeck rootfs from-debian",
        fixed_by="image",
    ),
    CheckSpec(
        "snapshot.python",
        "Python snapshot",
        in_thread(stores.python_snapshot),
        why="A run restored from a snapshot starts in a fraction of a boot.",
        remedy="Run: vmdeck setup, or: vmdeck snapshot create --lang python",
        fixed_by="snapshot",
    ),
    CheckSpec(
        "disk",
        "Disk room",
        in_thread(stores.disk_room),
        why="Images and the memory files of snapshots take hundreds of megabytes each.",
        remedy="Remove images or snapshots that are not needed, or set data_dir to a larger disk.",
    ),
    CheckSpec(
        "memory",
        "Memory available",
        in_thread(machine.memory),
        why="Each microVM takes its guest's memory and the VMM's own.",
    ),
    CheckSpec(
        "cgroups",
        "cgroups",
        in_thread(machine.cgroups),
        why="They bound what a VMM process takes from the host, beside the limits inside the guest.",
        remedy="Use a kernel that mounts cgroup v2 with its cpu, memory and pids controllers.",
    ),
    CheckSpec(
        "open-files",
        "Open files limit",
        in_thread(machine.open_files),
        why="Each VM and each client holds sockets and pipes open.",
    ),
    CheckSpec(
        "clock",
        "Clock",
        in_thread(machine.clock),
        why="Each guest is given the host's time when it is restored.",
    ),
    CheckSpec(
        "leftovers",
        "Nothing left of dead VMs",
        in_thread(stores.leftovers),
        why="An engine that was killed can't clean up after itself.",
        remedy="The next start of the engine removes them: stop any other and start it again.",
    ),
)


async def run_checks(
    settings: Settings,
    *,
    kvm: KvmVerdict | None = None,
    fresh: bool = False,
    specs: Sequence[CheckSpec] = CHECKS,
) -> list[models.Check]:
    """All checks side by side, in the order of ``specs``; under 3 s.

    ``kvm`` is a verdict already at hand; else it is looked up, and with ``fresh`` measured anew.
    """
    measuring = asyncio.create_task(_verdict(settings, kvm, fresh=fresh))
    around = Surroundings(settings, kvm=lambda: asyncio.shield(measuring), machine=platform.machine())
    try:
        return list(await asyncio.gather(*(run_check(spec, around) for spec in specs)))
    finally:
        measuring.cancel()
        await asyncio.wait({measuring})


async def run_check(spec: CheckSpec, around: Surroundings) -> models.Check:
    """One check within its deadline. A check that crashes or is late is a degraded finding that says so."""
    try:
        async with asyncio.timeout(spec.deadline_s):
            finding = await spec.probe(around)
    except TimeoutError:
        finding = degraded(f"the check came to no end within {spec.deadline_s:g} s")
    except Exception as error:
        log.exception("check %s failed", spec.id)
        finding = degraded(f"the check itself failed: {type(error).__name__}: {error}")
    fine = finding.severity in (Severity.OK, Severity.INFO)
    return models.Check(
        id=spec.id,
        title=spec.title,
        severity=finding.severity,
        seen=finding.seen,
        why=spec.why,
        remedy=finding.remedy or ("" if fine else spec.remedy),
        fixed_by=None if fine else spec.fixed_by,
    )


def verdict(checks: Sequence[models.Check]) -> Literal["ok", "degraded", "blocked"]:
    """The worst of all findings."""
    severities = {check.severity for check in checks}
    if Severity.BLOCKED in severities:
        return "blocked"
    return "degraded" if Severity.DEGRADED in severities else "ok"


async def _verdict(settings: Settings, known: KvmVerdict | None, *, fresh: bool) -> KvmVerdict:
    return known if known is not None else await kvm_verdict(settings, fresh=fresh)
