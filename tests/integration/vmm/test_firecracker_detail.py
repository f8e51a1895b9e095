"""A VM on the real Firecracker in detail, as far as a guest comes without native KVM: its kernel's first lines."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from engine.errors import InternalError
from engine.models import SerialText
from engine.vmm import serial_console
from engine.vmm.base import MachineState
from engine.vmm.firecracker import Firecracker, FirecrackerVm
from tests.integration.vmm.lab import EARLY_CONSOLE, Lab

MIB = 1024 * 1024
BOOT_LINES_S = 90  # 15 s on an idle host where KVM is emulated


def own(stack: AsyncExitStack, vm: FirecrackerVm) -> FirecrackerVm:
    stack.push_async_callback(vm.destroy)
    return vm


async def seen(vm: FirecrackerVm) -> list[SerialText]:
    return [piece async for piece in serial_console.follow(vm.serial, 0)]


async def test_the_console_has_the_kernels_first_words_and_ends_with_the_vm(lab: Lab, owned: AsyncExitStack) -> None:
    vm = own(owned, await lab.driver(jailed=False).boot("talker", lab.spec(EARLY_CONSOLE)))
    following = asyncio.create_task(seen(vm))
    async with asyncio.timeout(BOOT_LINES_S):
        while "Linux version" not in vm.serial.text():
            await vm.serial.grown(vm.serial.total)
    assert not following.done()
    await vm.destroy()
    pieces = await asyncio.wait_for(following, 10)
    assert "Linux version" in "".join(piece.text for piece in pieces)
    assert pieces[-1].ended == "the VM has ended"
    assert pieces[-1].offset == vm.serial.total


async def test_the_stages_of_a_restore_are_measured(
    driver: Firecracker, saved: MachineState, owned: AsyncExitStack
) -> None:
    vm = own(owned, await driver.restore("clone", saved))
    assert [stage.name for stage in vm.stopwatch.stages] == ["prepare", "spawn", "vmm", "load"]
    assert all(0 < stage.ms < 10_000 for stage in vm.stopwatch.stages)


async def test_the_stages_of_a_boot_are_measured(lab: Lab, driver: Firecracker, owned: AsyncExitStack) -> None:
    vm = own(owned, await driver.boot("cold", lab.spec()))
    assert [stage.name for stage in vm.stopwatch.stages] == ["prepare", "spawn", "vmm", "machine"]


async def test_its_own_counters_are_told_as_often_as_they_are_asked(
    driver: Firecracker, saved: MachineState, owned: AsyncExitStack
) -> None:
    vm = own(owned, await driver.restore("counted", saved))
    for _ in range(5):
        counters = await vm.counters(10)
    figures = {figure.name: figure.value for figure in counters.figures}
    assert (counters.disk_read_bytes, counters.disk_written_bytes) == (0, 0)
    assert figures["faults of seccomp"] == "0"
    assert figures["time to load the snapshot"].endswith(" ms")


@pytest.mark.usefixtures("root")
async def test_limits_are_those_of_its_jail(lab: Lab, saved: MachineState, owned: AsyncExitStack) -> None:
    vm = own(owned, await lab.driver(jailed=True).restore("limited", saved))
    limits = {figure.name: (figure.value, figure.used) for figure in vm.limits()}
    assert set(limits) == {"cpu", "memory", "threads"}
    assert (limits["cpu"][0], limits["memory"][0], limits["threads"][0]) == ("1 CPU", "192 MiB", "9")
    assert int(limits["threads"][1]) >= 2


async def test_without_a_jail_there_are_no_limits(lab: Lab, saved: MachineState, owned: AsyncExitStack) -> None:
    vm = own(owned, await lab.driver(jailed=False).restore("free", saved))
    assert vm.limits() == ()


async def test_one_that_has_ended_can_not_be_asked(lab: Lab, saved: MachineState, owned: AsyncExitStack) -> None:
    vm = own(owned, await lab.driver(jailed=False).restore("gone", saved))
    await vm.destroy()
    with pytest.raises(InternalError):
        await vm.counters(1)
