"""kill -9 of a VMM or of the whole engine, at every stage: a clear error, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import InternalError, OutcomeUnknownError, VmdeckError
from engine.host.process import ProcessId
from engine.models import BootMode, RunRequest
from engine.settings import Settings
from engine.vmm.home import VmHome
from tests.running import run_python

pytestmark = pytest.mark.vm
ENDLESS = RunRequest(language="python", code="print('up')\nwhile True: pass", timeout=60)


async def vmm_of(lab: Settings) -> ProcessId:
    """The process of the only VM, as soon as it is there."""
    async with asyncio.timeout(20):
        while True:
            for folder in lab.vms_dir.glob("*"):
                if (vmm := VmHome(folder).vmm()) is not None:
                    return vmm
            await asyncio.sleep(0.001)


async def failure_of(engine: Engine, request: RunRequest) -> VmdeckError:
    with pytest.raises(VmdeckError) as failed:
        await engine.run(request)
    return failed.value


@pytest.mark.parametrize("boot", ["snapshot", "cold"])
async def test_a_vmm_killed_while_it_starts_is_a_failed_start(engine: Engine, lab: Settings, boot: BootMode) -> None:
    running = asyncio.create_task(failure_of(engine, ENDLESS.model_copy(update={"boot": boot})))
    vmm = await vmm_of(lab)
    assert vmm.kill()
    error = await asyncio.wait_for(running, 20)
    assert isinstance(error, InternalError)
    assert not isinstance(error, OutcomeUnknownError)
    assert "QEMU" in error.message
    assert not await engine.vms()
    assert not list(lab.vms_dir.glob("*"))
    assert (await run_python(engine, "print('next')")).stdout == "next\n"


async def test_a_vmm_killed_while_code_runs_is_an_unknown_outcome(engine: Engine, lab: Settings) -> None:
    async def run_until_killed() -> None:
        async with aclosing(engine.stream(ENDLESS)) as events:
            async for event in events:
                if event.kind == "stdout":
                    assert (await vmm_of(lab)).kill()

    with pytest.raises(OutcomeUnknownError):
        await run_until_killed()
    assert not await engine.vms()
    assert not list(lab.vms_dir.glob("*"))
    assert (await run_python(engine, "print('next')")).stdout == "next\n"


# Five runs at once in an engine of its own; "up" on stdout for each that runs.
VICTIM = """
import asyncio, sys
from pathlib import Path
from engine.engine import Engine
from engine.models import RunRequest
from engine.settings import Settings

async def run(engine):
    async for event in engine.stream(RunRequest(language="python", code="print('up')\\nwhile True: pass", timeout=60)):
        if event.kind == "stdout":
            print("up", flush=True)

async def main():
    settings = Settings(data_dir=Path(sys.argv[1]), runtime_dir=Path(sys.argv[2]), max_running=5)
    async with Engine(settings) as engine:
        await asyncio.gather(*(run(engine) for _ in range(5)))

asyncio.run(main())
"""


async def test_an_engine_killed_during_five_runs_leaves_nothing_once_the_next_has_started(lab: Settings) -> None:
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, str(lab.data_dir), str(lab.runtime_dir), stdout=asyncio.subprocess.PIPE
    )
    assert victim.stdout is not None
    async with asyncio.timeout(60):
        for _ in range(5):
            assert await victim.stdout.readline() == b"up\n"
    vmms = [vmm for folder in lab.vms_dir.glob("*") if (vmm := VmHome(folder).vmm()) is not None]
    assert len(vmms) == 5
    assert all(vmm.alive() for vmm in vmms)

    victim.send_signal(signal.SIGKILL)
    await victim.wait()
    async with asyncio.timeout(10):
        for vmm in vmms:
            await vmm.ended()  # the kernel ends them with their engine
    assert len(list(lab.vms_dir.glob("*"))) == 5

    async with Engine(lab) as engine:
        assert not list(lab.vms_dir.glob("*"))
        assert (await run_python(engine, "print('next')")).stdout == "next\n"
    assert sorted(path.name for path in lab.runtime_dir.iterdir() if path.is_file()) == ["kvm.json", "lock"]


async def test_a_vmm_that_outlived_its_engine_is_ended_by_the_next(lab: Settings) -> None:
    home = lab.vms_dir / "0123456789ab"
    home.mkdir(parents=True)
    stray = await asyncio.create_subprocess_exec("sleep", "600")
    dead = await asyncio.create_subprocess_exec("true")
    await dead.wait()
    (home / "owner").write_text(f"{dead.pid} 1")
    (home / "vmm").write_text(str(ProcessId.of(stray.pid)))
    async with Engine(lab):
        assert await asyncio.wait_for(stray.wait(), 10) == -signal.SIGKILL
        assert not home.exists()


async def test_a_later_process_with_the_pid_of_a_dead_vmm_is_left_alone(lab: Settings) -> None:
    home = lab.vms_dir / "0123456789ab"
    home.mkdir(parents=True)
    bystander = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        (home / "owner").write_text("1 1")
        (home / "vmm").write_text(f"{bystander.pid} 1")
        async with Engine(lab):
            assert not home.exists()
        assert ProcessId.of(bystander.pid).alive()
    finally:
        bystander.kill()
        await bystander.wait()


async def test_folders_of_a_living_engine_are_not_reaped(lab: Settings) -> None:
    home = lab.vms_dir / "0123456789ab"
    home.mkdir(parents=True)
    (home / "owner").write_text(str(ProcessId.of(os.getpid())))
    async with Engine(lab):
        assert home.exists()
    Path(home / "owner").unlink()
    home.rmdir()
