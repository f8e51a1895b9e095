"""Who gives up may do so at any moment: the VM ends, and nothing of it is left."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import InternalError, OutcomeUnknownError
from engine.models import BootMode, CreateSnapshotRequest, JobState, RunRequest
from engine.settings import Settings
from engine.vmm import memory_file
from tests.hostile.remains import remains
from tests.running import run_python

pytestmark = pytest.mark.vm

_FOREVER = "print('up', flush=True)\nwhile True: pass"


@pytest.mark.parametrize(
    ("boot", "stage"),
    [
        ("snapshot", "restoring"),
        ("snapshot", "resyncing"),
        ("snapshot", "running"),
        ("snapshot", "up\n"),
        ("cold", "booting"),
        ("cold", "resyncing"),
    ],
)
async def test_a_stream_that_is_closed_at_any_stage_leaves_nothing(
    engine: Engine, lab: Settings, boot: BootMode, stage: str
) -> None:
    events = engine.stream(RunRequest(language="python", code=_FOREVER, boot=boot, timeout=30))
    async for event in events:
        if event.text == stage:
            break
    await events.aclose()
    assert list(await engine.vms()) == []
    assert remains(lab) == []


@pytest.mark.parametrize("boot", ["snapshot", "cold"])
async def test_a_run_that_is_cancelled_at_any_moment_leaves_nothing(
    engine: Engine, lab: Settings, boot: BootMode
) -> None:
    await run_python(engine, "pass")  # what an engine looks up once is not what is tested here
    for after_s in (0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.5):
        running = asyncio.create_task(run_python(engine, _FOREVER, boot=boot, timeout=30))
        await asyncio.sleep(after_s)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (after_s, list(await engine.vms()), remains(lab)) == (after_s, [], [])
    assert (await run_python(engine, "print('still fine')")).stdout == "still fine\n"


async def test_cancelling_twice_does_not_break_the_cleanup(engine: Engine, lab: Settings) -> None:
    running = asyncio.create_task(run_python(engine, _FOREVER, timeout=30))
    while not await engine.vms():
        await asyncio.sleep(0.01)
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert remains(lab) == []


@pytest.mark.parametrize("after", ["Booting the microVM", "Running hello", "Saving the machine", "Proving it"])
async def test_a_snapshot_that_is_cancelled_leaves_no_half_of_it(engine: Engine, lab: Settings, after: str) -> None:
    before = {path.name for path in lab.snapshots_dir.iterdir()}
    job = await engine.create_snapshot(CreateSnapshotRequest(language="python", name="doomed"))
    async for event in engine.job_events(job.id):
        job = event.job
        if after in (event.line or ""):
            await engine.cancel_job(job.id)
    assert job.state is JobState.CANCELLED
    assert remains(lab) == []
    assert {path.name for path in lab.snapshots_dir.iterdir()} == before


async def test_an_engine_that_closes_ends_its_runs_first(lab: Settings) -> None:
    async with Engine(lab) as engine:
        running = asyncio.create_task(run_python(engine, _FOREVER, timeout=30))
        while not [vm for vm in await engine.vms() if vm.state == "running"]:
            await asyncio.sleep(0.01)
    assert remains(lab) == []
    with pytest.raises(OutcomeUnknownError):
        await running


async def test_an_engine_that_closes_waits_for_a_vm_that_is_just_starting(lab: Settings) -> None:
    async with Engine(lab) as engine:
        await run_python(engine, "pass")
        running = asyncio.create_task(run_python(engine, _FOREVER, timeout=30))
        while not remains(lab):
            await asyncio.sleep(0)
    assert remains(lab) == []
    with pytest.raises((InternalError, OutcomeUnknownError)):
        await running


async def test_a_snapshot_that_is_cancelled_ends_when_nobody_writes_it_any_more(
    engine: Engine, lab: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that went on would read memory which is given back, and write into a folder which is removed."""
    copying, go_on = threading.Event(), threading.Event()
    copied: list[Path] = []
    copy = memory_file.copy_sparse

    def slow(source: int, target: Path) -> None:
        copying.set()
        go_on.wait()
        copy(source, target)
        copied.append(target)

    monkeypatch.setattr(memory_file, "copy_sparse", slow)
    job = await engine.create_snapshot(CreateSnapshotRequest(language="python", name="doomed"))
    await asyncio.to_thread(copying.wait)
    cancelled = asyncio.create_task(engine.cancel_job(job.id))
    try:
        done, _ = await asyncio.wait({cancelled}, timeout=0.5)
        assert not done
    finally:
        go_on.set()
    assert (await cancelled).state is JobState.CANCELLED
    assert len(copied) == 1
    assert remains(lab) == []
