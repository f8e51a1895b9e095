"""What is over stays known: runs to those who come later, jobs beyond the engine that did them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from engine.client import RemoteEngine
from engine.engine import Engine
from engine.errors import NotReadyError
from engine.http.server import serve_socket
from engine.models import CreateSnapshotRequest, JobState, RunQuery, RunRequest, RunResult
from engine.settings import Settings

pytestmark = pytest.mark.vm
VMDECK = str(Path(sys.executable).with_name("vmdeck"))
BOOTING = "Booting the microVM"


async def test_a_run_is_found_in_history_and_run_again_as_it_was(engine: Engine, lab: Settings) -> None:
    request = RunRequest(
        language="python", code="import sys; print(sys.argv[1], input())", args=("two words",), stdin="and input\n"
    )
    async with serve_socket(engine, lab) as path, RemoteEngine(path, caller="console") as console:
        first = await console.run(request)
        assert isinstance(first, RunResult)
        (entry,) = await console.runs(RunQuery(caller="console", outcome="success"))
        assert (entry.trace_id, entry.vm_id, entry.image) == (first.trace_id, first.vm.id, "python")
        assert (entry.boot, entry.snapshot) == (first.boot, first.vm.snapshot)
        assert entry.snapshot is not None, "the lab has a snapshot of Python"
        again = await console.run(await console.run_request(entry.trace_id))
        assert isinstance(again, RunResult)
        assert (again.stdout, again.trace_id != first.trace_id) == (first.stdout, True)
        assert (await console.run_stats(window_s=3600)).runs == 2
        assert await console.runs(RunQuery(caller="cli")) == ()


async def _serving(lab: Settings) -> tuple[asyncio.subprocess.Process, RemoteEngine]:
    folders = {"VMDECK_DATA_DIR": str(lab.data_dir), "VMDECK_RUNTIME_DIR": str(lab.runtime_dir)}
    process = await asyncio.create_subprocess_exec(VMDECK, "serve", env={**os.environ, **folders})
    remote = RemoteEngine(lab.socket_path)
    async with asyncio.timeout(30):
        while True:
            try:
                await remote.health()
            except NotReadyError:
                await asyncio.sleep(0.05)  # until its socket answers
            else:
                return process, remote


async def test_a_job_whose_engine_was_killed_is_told_by_the_next_with_its_log(lab: Settings) -> None:
    process, remote = await _serving(lab)
    try:
        async with remote, asyncio.timeout(60):
            job = await remote.create_snapshot(CreateSnapshotRequest(language="bash", name="half-made"))
            async for event in remote.job_events(job.id):
                if event.line == BOOTING:
                    break
            while not any(BOOTING in path.read_text() for path in (lab.data_dir / "jobs").iterdir()):
                await asyncio.sleep(0.01)  # a thread writes it, a moment after viewers are told
    finally:
        process.kill()
        await process.wait()
    async with Engine(lab) as engine:
        (found,) = await engine.jobs()
        assert (found.id, found.state, found.retryable) == (job.id, JobState.FAILED, False)
        assert found.error == "The engine was killed while it ran"
        lines = [event.line async for event in engine.job_events(job.id)]
        assert BOOTING in lines
        assert lines[-1] == found.error
        assert "half-made" not in [snapshot.name for snapshot in await engine.snapshots()]
