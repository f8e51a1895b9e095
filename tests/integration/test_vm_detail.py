"""A live VM in detail, on real QEMU microVMs: what is told of it is what the host and the guest have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from engine.client import RemoteEngine
from engine.engine import Engine
from engine.errors import NotFoundError
from engine.http.server import serve_socket
from engine.models import BootMode, RunRequest, SerialText, Vm, VmDetail
from engine.settings import Settings
from engine.vmm.cgroups import Cgroups
from tests.hostile.remains import remains

pytestmark = pytest.mark.vm

MIB = 1024 * 1024
_READS_AND_STAYS = """
hoard = bytearray(24 * 1024 * 1024)
import pydoc_data.topics
print('up', flush=True)
import time
time.sleep(280)
"""
COLD = ["prepare", "spawn", "machine", "kernel", "modules", "image", "agent", "resync"]
RESTORED = ["prepare", "spawn", "vmm", "load", "resync"]


@asynccontextmanager
async def running(engine: Engine, boot: BootMode = "snapshot") -> AsyncIterator[tuple[Vm, float]]:
    """A VM whose program has said that it is up, and how many ms its run was under way when it had its place in it."""
    request = RunRequest(language="python", code=_READS_AND_STAYS, boot=boot, timeout=300)
    stages: dict[str, float] = {}
    async with aclosing(engine.stream(request)) as events:
        async for event in events:
            stages[event.text] = event.at_ms
            if event.kind == "stdout":
                break
        (vm,) = await engine.vms()
        start_ms = stages["running"] - stages["restoring" if boot == "snapshot" else "booting"]
        yield vm, start_ms


async def seen(engine: Engine, vm_id: str, after: int = 0) -> list[SerialText]:
    return [piece async for piece in engine.vm_serial(vm_id, after=after)]


async def until_guest_told(engine: Engine, vm_id: str) -> VmDetail:
    async with asyncio.timeout(60):
        while not (detail := await engine.vm(vm_id)).guest:
            await asyncio.sleep(0.1)
    return detail


@pytest.mark.parametrize(("boot", "expected"), [("snapshot", RESTORED), ("cold", COLD)])
@pytest.mark.qemu
async def test_the_stages_of_the_start_add_up_to_it(engine: Engine, boot: BootMode, expected: list[str]) -> None:
    async with running(engine, boot) as (vm, start_ms):
        stages = (await engine.vm(vm.id)).stages
    assert [stage.name for stage in stages] == expected
    assert all(stage.ms >= 0 for stage in stages)
    assert sum(stage.ms for stage in stages) == pytest.approx(start_ms, rel=0.1, abs=50)


async def test_what_runs_in_the_guest_is_told_by_the_guest(engine: Engine) -> None:
    async with running(engine) as (vm, _):
        detail = await until_guest_told(engine, vm.id)
    assert [figure.name for figure in detail.guest] == ["memory", "memory of the run", "CPU of the run"]
    (of_run,) = (figure.value for figure in detail.guest if figure.name == "memory of the run")
    number, unit = of_run.split()
    assert unit == "MiB"
    assert 24 <= float(number) < 100
    assert not [reason for reason in detail.missing if reason.startswith(("guest", "vmm"))]


@pytest.mark.qemu
async def test_what_the_guests_drives_have_read_is_counted(engine: Engine) -> None:
    async with running(engine) as (vm, _):
        detail = await engine.vm(vm.id)
    assert detail.vm.disk_read_bytes is not None
    assert 300_000 < detail.vm.disk_read_bytes < 64 * MIB, "the program read a module of 700 KB from its image"
    assert detail.vm.disk_written_bytes == 0
    assert detail.vmm[0].value == "running"


async def test_bytes_to_and_from_the_agent_are_counted(engine: Engine) -> None:
    async with running(engine):
        (now,) = await engine.vms()
    assert now.link_in_bytes is not None
    assert now.link_out_bytes is not None
    assert len(_READS_AND_STAYS) < now.link_in_bytes < 10_000
    assert 100 < now.link_out_bytes < 10_000


async def test_the_list_has_the_figures_of_every_vm(engine: Engine) -> None:
    async with running(engine) as (vm, _):
        (now,) = await engine.vms()
        assert now.id == vm.id
        assert now.cpu_percent is not None
        assert now.memory_private_bytes
        assert now.disk_read_bytes is not None


async def test_limits_are_those_of_the_jails_control_group(engine: Engine) -> None:
    async with running(engine) as (vm, _):
        detail = await engine.vm(vm.id)
        if "no control group" in vm.jail or not vm.jailed:
            pytest.skip(f"no control group holds VMs here: {vm.jail}")
        cgroups = Cgroups.of_host()
        (folder,) = (path for path in cgroups.folders(f"vmdeck-{vm.id}") if (path / "pids.max").exists())
        limits = {figure.name: figure for figure in detail.limits}
        assert set(limits) == {"cpu", "memory", "threads"}
        assert limits["threads"].value == (folder / "pids.max").read_text().strip()
        assert 1 <= int(limits["threads"].used) <= int(limits["threads"].value)
        assert limits["cpu"].value == "1.5 CPUs"


async def test_points_come_while_it_lives(engine: Engine) -> None:
    async with running(engine) as (vm, _):
        async with asyncio.timeout(60):
            while len(series := (await engine.vm(vm.id)).series) < 2:
                await asyncio.sleep(0.2)
        assert series[0].at < series[1].at
        assert series[1].memory_private_bytes


async def test_a_vm_that_is_gone_is_named(engine: Engine) -> None:
    async with running(engine) as (vm, _):
        pass
    with pytest.raises(NotFoundError, match=vm.id):
        await engine.vm(vm.id)
    with pytest.raises(NotFoundError, match=vm.id):
        await seen(engine, vm.id)


async def test_the_serial_console_has_the_kernels_words_and_ends_with_the_vm(engine: Engine) -> None:
    async with running(engine, "cold") as (vm, _):
        following = asyncio.create_task(seen(engine, vm.id))
        while not following.done() and "PCI" not in "".join([piece.text for piece in await first(engine, vm.id)]):
            await asyncio.sleep(0.1)
        assert not following.done()
    async with asyncio.timeout(30):
        pieces = await following
    assert "PCI" in "".join(piece.text for piece in pieces)
    assert pieces[-1].ended == "the VM has ended"


async def first(engine: Engine, vm_id: str) -> list[SerialText]:
    async with aclosing(engine.vm_serial(vm_id)) as pieces:
        return [await anext(pieces)]


async def test_killing_a_vm_lets_go_who_follows_its_console(engine: Engine, lab: Settings) -> None:
    async with running(engine) as (vm, _):
        following = asyncio.create_task(seen(engine, vm.id))
        await asyncio.sleep(0)
        await engine.kill_vm(vm.id)
        async with asyncio.timeout(30):
            assert (await following)[-1].ended == "the VM has ended"
    assert remains(lab) == []


async def test_looking_at_a_vm_does_not_disturb_its_run(engine: Engine) -> None:
    code = "import sys\nfor n in range(20000): print(n, 'x' * 80)\nsys.stdout.flush()\n"
    expected = "".join(f"{n} {'x' * 80}\n" for n in range(20000))
    running = asyncio.create_task(engine.run(RunRequest(language="python", code=code, timeout=120)))
    looks = 0
    while not running.done():
        for vm in await engine.vms():
            try:
                await engine.vm(vm.id)
                looks += 1
            except NotFoundError:
                continue  # it has just ended
        await asyncio.sleep(0.02)
    result = await running
    assert looks > 0
    assert getattr(result, "stdout", "")[:1000] == expected[:1000]
    assert getattr(result, "status", "") in ("success", "output_limit")


async def test_another_process_sees_the_same(engine: Engine, lab: Settings) -> None:
    async with running(engine) as (vm, _), serve_socket(engine, lab) as path, RemoteEngine(path) as remote:
        here, there = await engine.vm(vm.id), await remote.vm(vm.id)
        assert (there.stages, there.limits and there.limits[0].name) == (here.stages, here.limits and "cpu")
        following = asyncio.create_task(remote_console(remote, vm.id))
        await asyncio.sleep(0)
        assert len(await remote.samples()) == len(await engine.samples())
        await remote.kill_vm(vm.id)
        async with asyncio.timeout(30):
            assert (await following)[-1].ended == "the VM has ended"


async def remote_console(remote: RemoteEngine, vm_id: str) -> list[SerialText]:
    return [piece async for piece in remote.vm_serial(vm_id)]


async def test_an_engine_that_only_looks_samples_nothing(lab: Settings) -> None:
    async with Engine(lab, only_looks=True) as engine:
        assert await engine.vms() == []
        assert (await engine.metrics()).cores >= 1
        assert len(asyncio.all_tasks()) == 1
        assert await engine.samples() == ()
