"""What runs need of this host, looked up when first needed: the VMM and why it, guest kernel and initramfs, the fleet.

An engine opens on a bare host too, so that it can set it up; until then ``ready`` raises what is missing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError, NotReadyError
from engine.host.choice import choose_vmm
from engine.host.kvm import KvmVerdict, kvm_verdict
from engine.models import VmmChoice
from engine.rootfs.initramfs import installed_initramfs
from engine.rootfs.kernel import installed_kernel
from engine.settings import Settings
from engine.snapshots.manifest import HostFacts, host_cpu
from engine.vmm.base import VmSpec
from engine.vmm.drivers import driver
from engine.vmm.fleet import Fleet


@dataclass(frozen=True, slots=True)
class BootFiles:
    """What every guest boots from on this host."""

    kernel: str
    bzimage: Path
    vmlinux: Path
    initramfs: Path
    cmdline: str

    def with_kernel(self, path: Path) -> BootFiles:
        """The same with another kernel file. Raises InputError where it can't be read."""
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise InputError(
                f"The kernel {path} can't be read: {error.strerror}", remedy="Name a kernel file"
            ) from None
        return BootFiles(str(path), path, path, self.initramfs, self.cmdline)

    def spec(self, image: Path, memory_mib: int, vcpus: int) -> VmSpec:
        return VmSpec(memory_mib, vcpus, self.bzimage, self.vmlinux, self.initramfs, self.cmdline, (image,))


@dataclass(frozen=True, slots=True)
class Ready:
    """A host that can run code."""

    choice: VmmChoice
    fleet: Fleet
    boot_files: BootFiles
    facts: HostFacts


class Backend:
    """Looks things up once and keeps them; ``refresh`` after setup has changed the host."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lookup = asyncio.Lock()
        self._probing = asyncio.Lock()
        self._kvm: KvmVerdict | None = None
        self._current: tuple[VmmChoice, Fleet] | None = None
        self._retired: list[Fleet] = []
        self._boot: tuple[BootFiles, HostFacts] | None = None
        self._looks = 0

    async def kvm_verdict(self) -> KvmVerdict:
        """What KVM is worth here, measured once."""
        async with self._probing:
            while self._kvm is None:
                look = self._looks
                verdict = await kvm_verdict(self._settings)
                if look == self._looks:  # else the host was changed meanwhile
                    self._kvm = verdict
            return self._kvm

    @property
    def fleets(self) -> tuple[Fleet, ...]:
        """That of the VMM in use, and those used before: a run that waits for its turn may still hold one."""
        return (*self._retired, self._current[1]) if self._current else tuple(self._retired)

    async def ready(self) -> Ready:
        """Raises NotReadyError: what is missing and how to get it."""
        async with self._lookup:
            while True:
                look = self._looks
                current = self._current or await self._choose()
                if look != self._looks:  # the host was changed meanwhile
                    continue
                self._current = current  # kept on a host that lacks the rest, too: it is asked again and again
                boot = self._boot or await asyncio.to_thread(self._find_boot_files, current[0])
                if look == self._looks:
                    self._boot = boot
                    return Ready(*current, *boot)

    def refresh(self) -> None:
        """Look at everything again: setup may have brought another VMM. Live VMs go on under the one they have."""
        self._looks += 1
        self._boot = None
        self._kvm = None
        if self._current is not None:
            self._retired.append(self._current[1])
            self._current = None

    async def close(self) -> None:
        """End every VM of every fleet; what failed is raised after that."""
        ends = await asyncio.gather(*(fleet.close() for fleet in self.fleets), return_exceptions=True)
        for failure in filter(None, ends):
            raise failure

    async def _choose(self) -> tuple[VmmChoice, Fleet]:
        chosen = await choose_vmm(self._settings, await self.kvm_verdict())
        vmm = await asyncio.to_thread(driver, self._settings, chosen)  # it looks at control groups, which takes time
        jail = {"jailed": vmm.confinement.jailed, "jail": vmm.confinement.text}
        return chosen.choice.model_copy(update=jail), Fleet(vmm)

    def _find_boot_files(self, choice: VmmChoice) -> tuple[BootFiles, HostFacts]:
        kernel = installed_kernel(self._settings)
        initramfs = installed_initramfs(self._settings, kernel) if kernel else None
        if kernel is None or initramfs is None:
            what = "guest kernel" if kernel is None else "guest initramfs for this version of vmdeck"
            raise NotReadyError(
                f"There is no {what} in {self._settings.data_dir}", remedy="Set this host up: vmdeck setup"
            )
        facts = HostFacts(
            vmm=choice.vmm,
            vmm_version=choice.version or "unknown",
            accelerator=choice.accelerator,
            host_cpu=host_cpu(),
            kernel_sha256=kernel.manifest.vmlinux_sha256,
            initramfs_digest=initramfs.digest,
        )
        files = BootFiles(kernel.id, kernel.bzimage, kernel.vmlinux, initramfs.path, kernel.cmdline)
        return files, facts
