"""The fleet's own part: what is told of a VM while it is ended from outside."""

from __future__ import annotations

import asyncio
from typing import cast

from engine.models import VmState
from engine.vmm.base import RunningVm, Vmm
from engine.vmm.fleet import Fleet, VmPurpose
from tests.unit.sampling.fake_vms import SPEC, FakeVm, FakeVmm


class SlowToEnd(FakeVm):
    def __init__(self, vm_id: str) -> None:
        super().__init__(vm_id)
        self.ending = asyncio.Event()
        self.may_end = asyncio.Event()

    async def destroy(self) -> None:
        self.ending.set()
        await self.may_end.wait()


class Booting(FakeVmm):
    def __init__(self) -> None:
        self.vms: list[SlowToEnd] = []

    async def boot(self, vm_id: str, *_: object, saveable: bool) -> RunningVm:
        self.vms.append(SlowToEnd(vm_id))
        return cast(RunningVm, self.vms[-1])


async def test_a_vm_that_is_killed_is_told_as_stopping_until_it_is_gone() -> None:
    vmm = Booting()
    fleet = Fleet(cast(Vmm, vmm))
    async with asyncio.timeout(10), fleet.boot(SPEC, VmPurpose("run")) as live:
        live.state = VmState.RUNNING
        killing = asyncio.create_task(fleet.kill(live.id))
        await vmm.vms[0].ending.wait()
        assert [each.as_it_is().state for each in fleet.live] == [VmState.STOPPING]
        vmm.vms[0].may_end.set()
        assert await killing
    assert fleet.idle
