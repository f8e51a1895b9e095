"""The host's health checks, as data. A new check is one entry in ``CHECKS`` and a function that looks.

A check tells what it saw; why that matters and what to do about it stands here. Checks run side by side, each with
its own deadline, and one that fails by itself is reported as a finding, never raised. Checks of one group stand
together.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from engine import models
from engine.host import (
    confinement,
    control_groups,
    cpu,
    kernel,
    kvm_device,
    limits,
    memory,
    object_store,
    remains,
    services,
    storage,
    stores,
    tools,
)
from engine.host.check import CheckSpec, in_thread, run_check
from engine.host.finding import Surroundings, blocked
from engine.host.kvm import PROBE_DEADLINE_S, KvmVerdict, kvm_verdict
from engine.host.vsock import vsock
from engine.models import Severity
from engine.settings import Settings

# All are done under 3 s: to a deadline comes twice the time that the kernel has to end a killed program.
_AFTER_KVM_S = PROBE_DEADLINE_S + 0.35

CHECKS: tuple[CheckSpec, ...] = (
    CheckSpec(
        "cpu.virtualization",
        "CPU offers virtualization",
        in_thread(cpu.virtualization),
        group="cpu",
        why="Without it KVM can't run guest code on the hardware, and VMs are emulated in software.",
        remedy="Enable VT-x or AMD-V in the firmware, or use a host that has it.",
    ),
    CheckSpec(
        "cpu.nested",
        "Bare metal or nested",
        in_thread(cpu.nested),
        group="cpu",
        why="A VM in a VM leaves to the outer host for much of what it does, which takes time.",
    ),
    CheckSpec(
        "kvm.runs",
        "KVM runs guest code",
        kvm_device.kvm_runs,
        group="kvm",
        why="A device that opens may still emulate: only guest code that ran at speed proves hardware virtualization.",
        remedy="Use a host with hardware virtualization for runs in milliseconds; here they take longer but work.",
        deadline_s=_AFTER_KVM_S,
    ),
    CheckSpec(
        "kvm.permission",
        "KVM may be opened",
        in_thread(kvm_device.kvm_permission),
        group="kvm",
        why="The VMM runs as this user and opens the device itself.",
        fixed_by="kvm-group",
    ),
    CheckSpec(
        "kvm.modules",
        "KVM modules",
        in_thread(kvm_device.kvm_modules),
        group="kvm",
        why="KVM's device comes with the module for this processor.",
        fixed_by="kvm-modules",
    ),
    CheckSpec(
        "vsock",
        "vsock",
        in_thread(vsock),
        group="kvm",
        why="A way for host and guest to talk that other VMMs need the kernel for.",
    ),
    CheckSpec(
        "kernel.version",
        "Host kernel",
        in_thread(kernel.version),
        group="kernel",
        why="Firecracker leans on the host's KVM; what is not tested may behave otherwise.",
        remedy="Boot a newer kernel of the distribution.",
    ),
    CheckSpec(
        "cgroups",
        "Control groups",
        control_groups.control_groups,
        group="kernel",
        why="They bound what a VMM process takes from the host, beside the limits inside the guest.",
        remedy="Use a kernel that mounts cgroup v2 with its cpu, memory and pids controllers.",
        deadline_s=_AFTER_KVM_S,
    ),
    CheckSpec(
        "open-files",
        "Open files limit",
        in_thread(limits.open_files),
        group="kernel",
        why="Each VM and each client holds sockets and pipes open.",
    ),
    CheckSpec(
        "processes",
        "Processes limit",
        in_thread(limits.processes),
        group="kernel",
        why="Each VM is a process with a dozen threads.",
    ),
    CheckSpec(
        "clock",
        "Clock",
        in_thread(kernel.clock),
        group="kernel",
        why="Each guest is given the host's time when it is restored.",
    ),
    CheckSpec(
        "memory",
        "Memory available",
        in_thread(memory.memory),
        group="memory",
        why="Each microVM takes its guest's memory and the VMM's own.",
    ),
    CheckSpec(
        "huge-pages",
        "Huge pages",
        in_thread(memory.huge_pages),
        group="memory",
        why="Memory set aside as huge pages is lost to microVMs, which map snapshots in small ones.",
    ),
    CheckSpec(
        "folders",
        "Folders can be written",
        in_thread(stores.folders),
        group="storage",
        why="Images, snapshots and history live in the data folder, sockets of live VMs in the runtime folder.",
        remedy="Run: vmdeck setup, or set data_dir and runtime_dir to folders of this user.",
        fixed_by="folders",
    ),
    CheckSpec(
        "disk",
        "Disk room",
        in_thread(storage.disk_room),
        group="storage",
        why="Images and the memory files of snapshots take hundreds of megabytes each.",
        remedy="Remove images or snapshots that are not needed, or set data_dir to a larger disk.",
    ),
    CheckSpec(
        "disk.jails",
        "Files come into jails",
        in_thread(storage.into_jails),
        group="storage",
        why="Links and reflinks take no time and no room; a copy for each VM takes both.",
        remedy="Have the data folder with its images, snapshots and jails on one file system.",
    ),
    CheckSpec(
        "leftovers",
        "Nothing left of dead VMs",
        in_thread(remains.remains),
        group="storage",
        why="An engine that was killed can't clean up after itself.",
        remedy="The next start of the engine removes them: stop any other and start it again.",
    ),
    CheckSpec(
        "qemu",
        "QEMU is installed",
        tools.qemu,
        group="vmm",
        why="It runs the microVMs wherever Firecracker can't.",
        fixed_by="packages",
        deadline_s=_AFTER_KVM_S,
    ),
    CheckSpec(
        "firecracker",
        "Firecracker and its jailer",
        tools.firecracker,
        group="vmm",
        why="On native KVM it restores microVMs in milliseconds, behind the smallest wall to attack.",
        fixed_by="firecracker",
        deadline_s=_AFTER_KVM_S,
    ),
    CheckSpec(
        "kernel",
        "Guest kernel",
        in_thread(stores.artefact(lambda settings: settings.kernels_dir, missing=blocked)),
        group="vmm",
        why="Every microVM boots it.",
        remedy="Run: vmdeck setup",
        fixed_by="kernel",
    ),
    CheckSpec(
        "initramfs",
        "Guest initramfs",
        in_thread(stores.artefact(lambda settings: settings.guest_dir, missing=blocked)),
        group="vmm",
        why="It holds the agent that runs code inside the microVM.",
        remedy="Run: vmdeck setup",
        fixed_by="initramfs",
    ),
    CheckSpec(
        "images",
        "Images",
        in_thread(stores.artefact(lambda settings: settings.images_dir, missing=blocked)),
        group="vmm",
        why="A language runs from an image; without one nothing runs.",
        remedy="Run: vmdeck setup, or build one: vmdeck rootfs build LANG",
        fixed_by="image",
    ),
    CheckSpec(
        "snapshot.python",
        "Python snapshot",
        in_thread(stores.python_snapshot),
        group="vmm",
        why="A run restored from a snapshot starts in a fraction of a boot.",
        remedy="Run: vmdeck setup, or: vmdeck snapshot create --lang python",
        fixed_by="snapshot",
    ),
    CheckSpec(
        "mmdebstrap",
        "mmdebstrap is installed",
        in_thread(tools.mmdebstrap),
        group="vmm",
        why="It makes root file systems from Debian packages.",
        remedy="Run: apt-get install mmdebstrap, or: vmdeck setup",
        fixed_by="packages",
    ),
    CheckSpec(
        "jail",
        "VMMs are confined",
        confinement.jail,
        group="security",
        why="Code that breaks out of its VM ends in the VMM's process: what that may do is what the attacker may do.",
        deadline_s=_AFTER_KVM_S,
    ),
    CheckSpec(
        "cpu.vulnerabilities",
        "CPU vulnerabilities",
        in_thread(cpu.vulnerabilities),
        group="security",
        why="Through them code in one guest may read the memory of the host and of other guests.",
        remedy="Update the kernel and the microcode, and boot without mitigations=off; in a VM ask the provider.",
    ),
    CheckSpec(
        "cpu.smt",
        "Threads share a core (SMT)",
        in_thread(cpu.smt),
        group="security",
        why="Code on one thread of a core can measure what runs on the other.",
        remedy="Boot with nosmt=force where tenants do not trust each other.",
    ),
    CheckSpec(
        "ksm",
        "Same-page merging (KSM)",
        in_thread(memory.ksm),
        group="security",
        why="How long a write takes tells one guest what another has in memory.",
        remedy="As root: echo 2 > /sys/kernel/mm/ksm/run",
    ),
    CheckSpec(
        "swap",
        "Swap",
        in_thread(memory.swap),
        group="security",
        why="What a guest had in memory may stay on the disk after it is gone.",
        remedy="As root: swapoff -a, and take it out of /etc/fstab; or encrypt it.",
    ),
    CheckSpec(
        "userfaultfd",
        "userfaultfd",
        in_thread(kernel.userfaultfd),
        group="security",
        why="A way to serve memory from user space, which some VMMs restore by.",
    ),
    CheckSpec(
        "service",
        "Service",
        services.service,
        group="services",
        why="As a service the engine starts with the host and again after a failure.",
        fixed_by="service",
    ),
    CheckSpec(
        "docker",
        "Docker engine",
        services.docker,
        group="services",
        why="Images can be made from Docker's.",
        remedy="See what it says: docker info",
        fixed_by="docker",
    ),
    CheckSpec(
        "s3",
        "S3 object store",
        object_store.object_store,
        group="services",
        why="Images and snapshots can be kept there.",
        remedy="Correct AWS_ENDPOINT_URL_S3 or the AWS configuration, or mend the way there.",
        deadline_s=object_store.PROBE_DEADLINE_S + 0.35,
    ),
)


async def run_checks(
    settings: Settings,
    *,
    kvm: Callable[[], Awaitable[KvmVerdict]] | None = None,
    specs: Sequence[CheckSpec] = CHECKS,
) -> list[models.Check]:
    """All checks side by side, in the order of ``specs``; under 3 s.

    ``kvm`` gives the verdict on KVM where its caller keeps one.
    """
    measuring = asyncio.ensure_future(kvm() if kvm else kvm_verdict(settings))
    around = Surroundings(settings, kvm=lambda: asyncio.shield(measuring), machine=platform.machine())
    try:
        return list(await asyncio.gather(*(run_check(spec, around) for spec in specs)))
    finally:
        measuring.cancel()
        await asyncio.wait({measuring})


def verdict(checks: Sequence[models.Check]) -> Literal["ok", "degraded", "blocked"]:
    """The worst of all findings."""
    severities = {check.severity for check in checks}
    if Severity.BLOCKED in severities:
        return "blocked"
    return "degraded" if Severity.DEGRADED in severities else "ok"
