"""The engine's look at its host is never older than the host: what setup changes meanwhile is looked at again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine import backend as backend_module
from engine.backend import Backend
from engine.errors import InternalError, NotReadyError
from engine.host.choice import Chosen
from engine.host.kvm import KvmKind, KvmVerdict
from engine.models import VmmChoice
from engine.settings import Settings
from engine.vmm.base import Confinement, RunningVm, Vmm, VmSpec
from engine.vmm.fleet import VmPurpose

SPEC = VmSpec(64, 1, Path("bz"), Path("elf"), Path("initramfs"), "", ())
PURPOSE = VmPurpose("run")


class FakeVm:
    def __init__(self, vm_id: str, failure: Exception | None) -> None:
        self.id = vm_id
        self.pid = None
        self.destroyed = False
        self._failure = failure

    def usage(self) -> None:
        return None

    async def destroy(self) -> None:
        self.destroyed = True
        if self._failure is not None:
            raise self._failure


@dataclass
class FakeVmm:
    name: str
    accelerator: str = "none"
    confinement: Confinement = field(default_factory=lambda: Confinement(True, "a fake"))
    failure: Exception | None = None
    vms: list[FakeVm] = field(default_factory=list)

    async def boot(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> RunningVm:
        self.vms.append(FakeVm(vm_id, self.failure))
        return cast(RunningVm, self.vms[-1])


@dataclass
class Host:
    """What this host has, as the backend finds it; ``gate`` holds a look up."""

    kind: KvmKind = "absent"
    vmm: str = "qemu"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    looking: asyncio.Event = field(default_factory=asyncio.Event)
    made: list[FakeVmm] = field(default_factory=list)

    async def kvm_verdict(self, settings: Settings) -> KvmVerdict:
        return KvmVerdict(kind=self.kind, detail="the evidence")

    async def choose(self, settings: Settings, verdict: KvmVerdict) -> Chosen:
        choice = VmmChoice(vmm=self.vmm, accelerator="none", version="1", reason=verdict.kind)
        self.looking.set()
        await self.gate.wait()
        return cast(Chosen, SimpleNamespace(choice=choice))

    def driver(self, settings: Settings, chosen: Chosen) -> Vmm:
        self.made.append(FakeVmm(chosen.choice.vmm))
        return cast(Vmm, self.made[-1])


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    host.gate.set()
    monkeypatch.setattr(backend_module, "kvm_verdict", host.kvm_verdict)
    monkeypatch.setattr(backend_module, "choose_vmm", host.choose)
    monkeypatch.setattr(backend_module, "driver", host.driver)
    monkeypatch.setattr(Backend, "_find_boot_files", lambda self, choice: (f"files for {choice.vmm}", "facts"))
    return host


@pytest.fixture
def backend(host: Host, tmp_path: Path) -> Backend:
    return Backend(Settings(data_dir=tmp_path, runtime_dir=tmp_path))


async def test_what_was_found_is_kept(backend: Backend, host: Host) -> None:
    assert (await backend.ready()).fleet is (await backend.ready()).fleet
    assert len(host.made) == 1


async def test_a_host_that_lacks_boot_files_is_not_asked_for_its_vmm_each_time(
    backend: Backend, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_backend: Backend, _choice: VmmChoice) -> None:
        raise NotReadyError("no kernel")

    monkeypatch.setattr(Backend, "_find_boot_files", none)
    for _ in range(2):
        with pytest.raises(NotReadyError, match="no kernel"):
            await backend.ready()
    assert len(host.made) == 1


async def test_after_a_refresh_vmm_and_kvm_are_looked_at_again(backend: Backend, host: Host) -> None:
    await backend.ready()
    host.kind, host.vmm = "native", "firecracker"
    backend.refresh()
    choice = (await backend.ready()).choice
    assert (choice.vmm, choice.reason) == ("firecracker", "native")


async def test_a_refresh_during_a_look_makes_it_look_again(backend: Backend, host: Host) -> None:
    host.gate.clear()
    looking = asyncio.create_task(backend.ready())
    await host.looking.wait()
    host.kind, host.vmm = "native", "firecracker"
    backend.refresh()
    host.gate.set()
    ready = await looking
    assert (ready.choice.vmm, ready.choice.reason) == ("firecracker", "native")
    assert ready.boot_files == "files for firecracker"


async def test_vms_of_the_vmm_used_before_are_still_this_engines(backend: Backend, host: Host) -> None:
    before = await backend.ready()
    backend.refresh()
    await backend.ready()
    async with before.fleet.boot(SPEC, PURPOSE) as live:
        assert [vm.id for fleet in backend.fleets for vm in fleet.live] == [live.id]
        await backend.close()
        assert host.made[0].vms[0].destroyed


async def test_a_vm_that_does_not_end_keeps_no_other_from_being_ended(backend: Backend, host: Host) -> None:
    fleet = (await backend.ready()).fleet
    async with fleet.boot(SPEC, PURPOSE):
        with pytest.raises(InternalError, match="stuck"):  # noqa: PT012 - its own end fails with it
            host.made[0].failure = InternalError("stuck")
            async with fleet.boot(SPEC, PURPOSE), fleet.boot(SPEC, PURPOSE):
                with pytest.raises(InternalError, match="stuck"):
                    await backend.close()
                assert [vm.destroyed for vm in host.made[0].vms] == [True, True, True]
