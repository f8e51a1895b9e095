"""An engine that is told to use Firecracker: the choice, the jail and the end of its VMs, as its callers see them.

On KVM that emulates no guest reaches its agent, so what a run gives here is a failed start, told with its reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import InternalError, NotReadyError
from engine.host.kvm import kvm_verdict
from engine.models import RunRequest, Vm
from engine.settings import Settings
from tests.firecracker_release import VERSION
from tests.lab import made_lab

pytestmark = pytest.mark.vm
COLD = RunRequest(language="python", code="print(1)", boot="cold")
LONG_S = 60


@pytest.fixture
async def told(prepared: Settings, binaries: Path, root: None) -> AsyncIterator[Settings]:
    if (await kvm_verdict(prepared)).kind == "native":
        pytest.skip("here guests on Firecracker do reach their agent: ./taskw test:metal tests that")
    with made_lab(
        prepared, vmm="firecracker", firecracker_binary=str(binaries / "firecracker"), boot_deadline_s=LONG_S
    ) as settings:
        yield settings


@pytest.fixture
async def engine(told: Settings) -> AsyncIterator[Engine]:
    async with Engine(told) as engine:
        yield engine


def remains(settings: Settings) -> list[Path]:
    """Homes and jails."""
    return [*settings.vms_dir.glob("*"), *settings.jails_dir.glob("firecracker/*")]


async def booting(engine: Engine) -> Vm:
    """The VM of a run that has started."""
    async with asyncio.timeout(20):
        while not (vms := await engine.vms()):
            await asyncio.sleep(0.005)
    return vms[0]


async def test_the_choice_by_hand_is_told_with_its_reason_and_its_jail(engine: Engine) -> None:
    vmm = (await engine.health()).vmm
    assert (vmm.vmm, vmm.accelerator, vmm.version) == ("firecracker", "kvm", VERSION)
    assert "set by hand (KVM emulated" in vmm.reason
    assert vmm.jailed
    assert "jailer" in vmm.jail


async def test_snapshots_of_another_vmm_are_refused_with_the_reason(engine: Engine) -> None:
    snapshots = await engine.snapshots()
    if not snapshots:
        pytest.skip("no snapshot here (make one: vmdeck setup)")
    assert {snapshot.fits for snapshot in snapshots} == {False}
    assert "the VMM: qemu, here it is firecracker" in str(snapshots[0].problem)
    with pytest.raises(NotReadyError, match="No snapshot fits"):
        await engine.run(RunRequest(language="python", code="print(1)", boot="snapshot"))


async def test_a_guest_that_never_answers_is_a_failed_start_and_leaves_nothing(told: Settings) -> None:
    async with Engine(told.model_copy(update={"boot_deadline_s": 1.5})) as engine:
        with pytest.raises(InternalError, match=r"agent was not reached within 1.5 s.*Firecracker still runs"):
            await engine.run(COLD)
        assert await engine.vms() == []
    assert remains(told) == []


async def test_a_vm_that_an_operator_kills_while_it_boots_ends_at_once(engine: Engine, told: Settings) -> None:
    run = asyncio.create_task(engine.run(COLD))
    vm = await booting(engine)
    assert (vm.vmm, vm.jailed) == ("firecracker", True)
    await engine.kill_vm(vm.id)
    async with asyncio.timeout(LONG_S / 4):
        with pytest.raises(InternalError, match="Firecracker ended with signal 9"):
            await run
    assert remains(told) == []


async def test_a_cancelled_start_leaves_nothing(engine: Engine, told: Settings) -> None:
    run = asyncio.create_task(engine.run(COLD))
    await booting(engine)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert remains(told) == []


async def test_a_vm_that_boots_is_told_in_detail(engine: Engine) -> None:
    run = asyncio.create_task(engine.run(COLD))
    try:
        vm = await booting(engine)
        detail = await engine.vm(vm.id)
        assert [stage.name for stage in detail.stages] == ["prepare", "spawn", "vmm", "machine"]
        assert {figure.name for figure in detail.limits} == {"cpu", "memory", "threads"}
        assert "drives read" in {figure.name for figure in detail.vmm}
        assert [reason.partition(":")[0] for reason in detail.missing] == ["guest"]
        assert detail.vm.disk_read_bytes is not None
    finally:
        run.cancel()
        await asyncio.wait((run,))
