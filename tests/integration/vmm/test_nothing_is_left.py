"""kill -9 at every stage, of the VMM and of the engine: no process, folder or control group stays."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import InternalError
from engine.host.process import ProcessId
from engine.vmm import cgroups
from engine.vmm.base import MachineState
from engine.vmm.firecracker import Firecracker
from engine.vmm.firecracker_api import Endpoint, FirecrackerApi
from engine.vmm.home import VmHome, reap
from tests.integration.vmm import doomed_engine
from tests.integration.vmm.lab import Lab

ROOT = Path(__file__).parents[3]
BOOT_STAGES = ["/machine-config", "/boot-source", "/drives/{drive_id}", "/vsock", "/entropy", "/actions"]
SAVE_STAGES = ["/vm", "/snapshot/create"]

Doom = Callable[[str, str], None]


@pytest.fixture
def vmm_dies_at(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Doom:
    """Kill a VM's VMM just before a call is made to it."""
    send = FirecrackerApi.send

    def arrange(vm_id: str, path: str) -> None:
        async def killing(self: FirecrackerApi, endpoint: Endpoint, body: dict) -> None:
            if endpoint.path == path:
                vmm = VmHome(lab.settings.vms_dir / vm_id).vmm()
                assert vmm is not None
                assert vmm.kill()
            await send(self, endpoint, body)

        monkeypatch.setattr(FirecrackerApi, "send", killing)

    return arrange


async def test_a_vmm_killed_before_it_opens_its_api(
    lab: Lab, driver: Firecracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_vmm = VmHome.note_vmm

    def note_and_kill(self: VmHome, pid: int) -> None:
        note_vmm(self, pid)
        assert ProcessId.of(pid).kill()

    monkeypatch.setattr(VmHome, "note_vmm", note_and_kill)
    with pytest.raises(InternalError, match="Firecracker ended with signal 9"):
        await driver.boot("victim", lab.spec())
    assert lab.remains("victim") == []


@pytest.mark.parametrize("stage", BOOT_STAGES)
async def test_a_vmm_killed_while_it_boots(lab: Lab, driver: Firecracker, vmm_dies_at: Doom, stage: str) -> None:
    vmm_dies_at("victim", stage)
    with pytest.raises(InternalError, match="Firecracker ended with signal 9"):
        await driver.boot("victim", lab.spec())
    assert lab.remains("victim") == []


async def test_a_vmm_killed_while_it_loads(
    lab: Lab, driver: Firecracker, saved: MachineState, vmm_dies_at: Doom
) -> None:
    vmm_dies_at("victim", "/snapshot/load")
    with pytest.raises(InternalError, match="Firecracker ended with signal 9"):
        await driver.restore("victim", saved)
    assert lab.remains("victim") == []


@pytest.mark.parametrize("stage", SAVE_STAGES)
async def test_a_vmm_killed_while_it_saves(lab: Lab, driver: Firecracker, vmm_dies_at: Doom, stage: str) -> None:
    vm = await driver.boot("victim", lab.spec(), saveable=True)
    try:
        vmm_dies_at("victim", stage)
        folder = lab.home / "snapshot"
        folder.mkdir()
        with pytest.raises(InternalError, match="Firecracker ended with signal 9"):
            await vm.save(folder)
    finally:
        await vm.destroy()
    assert lab.remains("victim") == []
    assert not (folder / ".memory").exists()


async def test_a_vmm_killed_while_it_runs(lab: Lab, driver: Firecracker, saved: MachineState) -> None:
    vm = await driver.restore("victim", saved)
    try:
        assert vm.pid is not None
        ProcessId.of(vm.pid).kill()
        assert "signal 9" in await vm.exited()
    finally:
        await vm.destroy()
    assert lab.remains("victim") == []


@pytest.mark.parametrize("stage", ["/machine-config", "/actions", "running"])
async def test_an_engine_killed_leaves_nothing_once_the_next_has_reaped(lab: Lab, jailed: bool, stage: str) -> None:
    quarters = "jailed" if jailed else "open"
    paths = [lab.home, lab.binaries, lab.vmlinux, lab.initramfs]
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, doomed_engine.__file__, *map(str, paths), lab.cgroup_prefix, quarters, stage),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert engine.stdout is not None
        assert (await engine.stdout.readline()).decode().strip() == doomed_engine.REACHED
        (vmm,) = [ProcessId.of(pid) for pid in lab.processes("orphan")]
    finally:
        engine.kill()
        await engine.wait()
    try:
        await asyncio.wait_for(vmm.ended(), 10)  # with its engine, before anybody reaps
        assert await reap(lab.settings.vms_dir) == ["orphan"]
        assert lab.remains("orphan") == []
    finally:
        vmm.kill()
        await cgroups.remove(lab.cgroups("orphan"))


async def test_a_vmm_that_nobody_wrote_down_is_found_by_its_folder(lab: Lab) -> None:
    """The engine was killed between starting the VMM and arming its lifeline."""
    home = VmHome.create(lab.settings.vms_dir, "unnoted")
    (home.path / "owner").write_text("1 0")  # an engine that is gone
    vmm = await asyncio.create_subprocess_exec(
        lab.binaries / "firecracker", "--api-sock", "api.sock", cwd=home.path, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        assert await reap(lab.settings.vms_dir) == ["unnoted"]
        assert await asyncio.wait_for(vmm.wait(), 10) == -9
        assert not home.path.exists()
    finally:
        if vmm.returncode is None:
            vmm.kill()


@pytest.mark.usefixtures("root")
async def test_a_jail_is_emptied_even_of_a_vmm_that_nobody_wrote_down(lab: Lab, saved: MachineState) -> None:
    """The engine was killed between starting the VMM and noting it: its control group still knows."""
    vm = await lab.driver(jailed=True).restore("unnoted", saved)
    try:
        home = VmHome(lab.settings.vms_dir / "unnoted")
        (home.path / "vmm").unlink()
        await home.clear()
        assert lab.processes("unnoted") == []
    finally:
        await vm.destroy()
    assert lab.remains("unnoted") == []
