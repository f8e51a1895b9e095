"""A VMM that dies, hangs or never was one: a clear error, in time, and nothing left of its VM."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import InternalError, NotReadyError, OutcomeUnknownError, VmdeckError
from engine.models import BootMode, CreateSnapshotRequest, JobState, RunRequest
from engine.settings import Settings
from engine.vmm import qemu
from tests.hostile.remains import noted_vmm, remains
from tests.lab import FOLDER, PREFIX
from tests.running import run_python

pytestmark = pytest.mark.vm

_FOREVER = "print('up', flush=True)\nwhile True: pass"


async def failure_of(running: asyncio.Task[object]) -> VmdeckError:
    with pytest.raises(VmdeckError) as caught:
        await running
    return caught.value


async def signalled(engine: Engine, number: int, at: str, **fields: object) -> VmdeckError:
    """Send a signal to the VMM once the run says ``at``; the error that the caller gets."""
    request = RunRequest.model_validate({"language": "python", "code": _FOREVER, **fields})

    async def follow() -> None:
        async for event in engine.stream(request):
            if event.text == at:
                (vm,) = await engine.vms()
                assert vm.pid is not None
                os.kill(vm.pid, number)

    return await failure_of(asyncio.create_task(follow()))


@pytest.mark.parametrize("boot", ["snapshot", "cold"])
async def test_killed_as_soon_as_it_is_there_is_a_failed_start(engine: Engine, lab: Settings, boot: BootMode) -> None:
    running = asyncio.create_task(run_python(engine, _FOREVER, boot=boot, timeout=30))
    os.kill(await noted_vmm(lab), signal.SIGKILL)
    error = await failure_of(running)
    assert type(error) is InternalError
    assert "signal 9" in error.message
    assert remains(lab) == []


async def test_killed_while_it_loads_its_state_is_a_failed_start(engine: Engine, lab: Settings) -> None:
    error = await signalled(engine, signal.SIGKILL, "resyncing", boot="snapshot")
    assert type(error) is InternalError
    assert "Restoring the microVM failed" in error.message
    assert "signal 9" in error.message
    assert remains(lab) == []


async def test_killed_while_the_kernel_boots_is_a_failed_start(engine: Engine, lab: Settings) -> None:
    running = asyncio.create_task(run_python(engine, _FOREVER, boot="cold"))
    pid = await noted_vmm(lab)
    await asyncio.sleep(1)
    os.kill(pid, signal.SIGKILL)
    error = await failure_of(running)
    assert type(error) is InternalError
    assert "Booting the microVM failed" in error.message
    assert "signal 9" in error.message
    assert remains(lab) == []


async def test_killed_in_the_run_leaves_the_outcome_unknown(engine: Engine, lab: Settings) -> None:
    error = await signalled(engine, signal.SIGKILL, "up\n", timeout=30)
    assert type(error) is OutcomeUnknownError
    assert "connection to the guest ended" in error.message
    assert remains(lab) == []


async def test_stopped_in_the_run_is_ended_by_the_hosts_own_deadline(lab: Settings) -> None:
    settings = lab.model_copy(update={"kill_grace_s": 1})
    async with Engine(settings) as engine:
        began = asyncio.get_running_loop().time()
        error = await signalled(engine, signal.SIGSTOP, "up\n", timeout=1)
        assert asyncio.get_running_loop().time() - began < 6
        assert type(error) is OutcomeUnknownError
        assert "did not answer in time" in error.message
        assert remains(lab) == []


@pytest.mark.parametrize("after", ["Booting the microVM", "Saving the machine", "Proving it"])
async def test_killed_while_a_snapshot_is_made_leaves_no_half_of_it(engine: Engine, lab: Settings, after: str) -> None:
    before = {path.name for path in lab.snapshots_dir.iterdir()}
    job = await engine.create_snapshot(CreateSnapshotRequest(language="python", name="doomed"))
    killed = False
    async for event in engine.job_events(job.id):
        job = event.job
        if not killed and after in (event.line or ""):
            os.kill(await noted_vmm(lab), signal.SIGKILL)
            killed = True
    assert killed
    assert job.state is JobState.FAILED
    assert job.error
    assert remains(lab) == []
    assert {path.name for path in lab.snapshots_dir.iterdir()} == before


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder whose programs a jailed process may start too."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def pretended_qemu(folder: Path, rest: str) -> Path:
    """A program that answers questions about itself as the real QEMU does, and as a machine does ``rest``."""
    program = folder / "qemu-system-x86_64"
    answer = 'case "$*" in --version|"-accel help") exec qemu-system-x86_64 "$@";; esac'
    program.write_text(f"#!/bin/sh\n{answer}\n{rest}\n")
    program.chmod(0o755)
    return program


@pytest.mark.qemu
async def test_one_that_ends_at_once_is_quoted(lab: Settings, open_folder: Path) -> None:
    program = pretended_qemu(open_folder, "echo 'no such machine' >&2; exit 3")
    async with Engine(lab.model_copy(update={"qemu_binary": str(program)})) as engine:
        for boot in ("snapshot", "cold"):
            with pytest.raises(InternalError, match="status 3: no such machine"):
                await run_python(engine, "print(1)", boot=boot)
    assert remains(lab) == []


@pytest.mark.qemu
async def test_one_that_says_nothing_is_given_up(
    lab: Settings, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu, "_MONITOR_DEADLINE_S", 1)
    program = pretended_qemu(open_folder, "exec sleep 600")
    settings = lab.model_copy(update={"qemu_binary": str(program), "boot_deadline_s": 1})
    async with Engine(settings) as engine:
        with pytest.raises(InternalError, match="did not answer"):
            await run_python(engine, "print(1)", boot="snapshot")
        with pytest.raises(InternalError, match="did not answer"):
            await run_python(engine, "print(1)", boot="cold")
    assert remains(lab) == []


@pytest.mark.qemu
async def test_one_that_may_not_be_started_is_named(lab: Settings, tmp_path: Path) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text("not a program")
    async with Engine(lab.model_copy(update={"qemu_binary": str(program)})) as engine:
        with pytest.raises(NotReadyError, match=str(program)):
            await run_python(engine, "print(1)")
    assert remains(lab) == []


async def test_a_runtime_folder_that_can_not_be_used_is_named(lab: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = lab.model_copy(update={"runtime_dir": tmp_path / "file" / "run"})
    with pytest.raises(NotReadyError, match=str(settings.runtime_dir)):
        async with Engine(settings):
            pass


async def test_a_folder_of_vms_that_can_not_be_written_is_named(engine: Engine, lab: Settings) -> None:
    lab.vms_dir.parent.mkdir(exist_ok=True)
    lab.vms_dir.touch()
    with pytest.raises(NotReadyError, match=str(lab.vms_dir)) as caught:
        await run_python(engine, "print(1)")
    assert "VMDECK_RUNTIME_DIR" in caught.value.remedy
    lab.vms_dir.unlink()
