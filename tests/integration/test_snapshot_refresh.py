"""A snapshot made anew: the old one serves until then, stays whole on failure, and goes on under those who have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from engine.engine import Engine
from engine.errors import ConflictError, NotFoundError
from engine.models import CreateSnapshotRequest, Job, JobState, RunEvent, RunRequest, Snapshot
from engine.settings import Settings
from tests.hostile.remains import remains
from tests.running import run_python

pytestmark = pytest.mark.vm
NAME = "python-own"


async def ended(engine: Engine, job: Job) -> Job:
    async for event in engine.job_events(job.id):
        job = event.job
    return job


async def step_of(engine: Engine, job: Job, text: str) -> None:
    async with aclosing(engine.job_events(job.id)) as events:
        async for event in events:
            if event.line and text in event.line:
                return
    pytest.fail(f"the job ended before {text!r}")


async def the_snapshot(engine: Engine) -> Snapshot:
    return next(each for each in await engine.snapshots() if each.name == NAME)


@pytest.fixture
async def made(engine: Engine) -> Snapshot:
    job = await ended(engine, await engine.create_snapshot(CreateSnapshotRequest(language="python", name=NAME)))
    assert job.state is JobState.DONE, job.error
    return await the_snapshot(engine)


async def test_a_snapshot_is_made_verified_refreshed_and_deleted(engine: Engine, lab: Settings, made: Snapshot) -> None:
    assert made.shared_bytes is not None
    assert 0 < made.shared_bytes <= made.disk_bytes
    assert (await engine.verify_snapshot(NAME)).ok
    await run_python(engine, "print(0)", snapshot=NAME)
    job = await ended(engine, await engine.refresh_snapshot(NAME))
    assert (job.state, job.result) == (JobState.DONE, NAME)
    anew = await the_snapshot(engine)
    assert anew.created > made.created
    assert (anew.language, anew.memory_mib, anew.vcpus) == (made.language, made.memory_mib, made.vcpus)
    assert (await engine.verify_snapshot(NAME)).ok
    result = await run_python(engine, "print(1)", snapshot=NAME)
    assert (result.stdout, result.vm.snapshot, result.vm.image) == ("1\n", NAME, "python")
    used = await the_snapshot(engine)  # the run before was of the older one
    assert (used.runs, used.restore_ms) == (1, (result.timings.restore,))
    image = next(each for each in await engine.images() if each.name == "python")
    assert f"snapshot {NAME}" in image.used_by
    assert (image.runs, image.proven) == (2, used.last_used)
    await engine.remove_snapshot(NAME)
    assert NAME not in {each.name for each in await engine.snapshots()}
    assert remains(lab) == []


async def test_a_vm_of_the_old_snapshot_runs_on_while_it_is_made_anew(
    engine: Engine, lab: Settings, made: Snapshot
) -> None:
    # Ever new modules, so that it goes on reading an image and a memory file that have no name any more.
    code = """
import importlib, itertools, time
for name in itertools.cycle(["json", "decimal", "email", "http", "xml", "unittest", "logging", "csv", "ast", "dis"]):
    importlib.import_module(name)
    print(name, flush=True)
    time.sleep(0.5)
"""
    async with aclosing(engine.stream(RunRequest(language="python", code=code, snapshot=NAME, timeout=300))) as events:
        async for event in events:
            if event.kind == "stdout":
                break
        with pytest.raises(ConflictError, match="VM runs from"):
            await engine.remove_snapshot(NAME)
        job = await ended(engine, await engine.refresh_snapshot(NAME))
        assert job.state is JobState.DONE, job.error
        assert (await the_snapshot(engine)).created > made.created
        assert [vm.snapshot for vm in await engine.vms()] == [NAME]
        assert (await run_python(engine, "print(2)", snapshot=NAME)).stdout == "2\n"
        seen = [event.text async for event in _next(events, 12) if event.kind == "stdout"]
        assert len(seen) == 12
    assert remains(lab) == []


async def _next(events: AsyncIterator[RunEvent], count: int) -> AsyncIterator[RunEvent]:
    """What comes from now on: older events were queued while nobody read."""
    for _ in range(count):
        yield await anext(events)


@pytest.mark.parametrize(
    "step",
    ["Running hello", *(pytest.param(step, marks=pytest.mark.nightly) for step in ("Proving it", "Computing digests"))],
)
async def test_a_cancelled_refresh_leaves_the_old_snapshot_whole_and_nothing_else(
    engine: Engine, lab: Settings, made: Snapshot, step: str
) -> None:
    job = await engine.refresh_snapshot(NAME)
    await step_of(engine, job, step)
    with pytest.raises(ConflictError, match="makes it just now"):
        await engine.remove_snapshot(NAME)
    assert (await engine.cancel_job(job.id)).state is JobState.CANCELLED
    assert await the_snapshot(engine) == made
    assert (await engine.verify_snapshot(NAME)).ok
    assert remains(lab) == []


async def test_two_refreshes_of_one_snapshot_take_turns(engine: Engine, made: Snapshot) -> None:
    first, second = await asyncio.gather(engine.refresh_snapshot(NAME), engine.refresh_snapshot(NAME))
    await engine.cancel_job(second.id)
    assert (await ended(engine, first)).state is JobState.DONE


async def test_what_is_not_there_or_can_not_be_read_is_refused_at_once(engine: Engine, lab: Settings) -> None:
    with pytest.raises(NotFoundError):
        await engine.refresh_snapshot("none-here")
    (lab.snapshots_dir / "spoilt").mkdir()
    (lab.snapshots_dir / "spoilt" / "manifest.json").write_text("{")
    with pytest.raises(ConflictError, match="not known"):
        await engine.refresh_snapshot("spoilt")
