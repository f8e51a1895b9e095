"""``kill -9`` of a whole engine: its VMs die with it or by the hand of the next one, and nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.settings import Settings
from tests.hostile.remains import gone, remains, vmm_pids
from tests.running import run_python

pytestmark = pytest.mark.vm
ROOT = Path(__file__).parents[2]
RUNS = 5

# An engine of its own with RUNS runs: a line for each that is up.
_ENGINE = """
import asyncio, sys
from pathlib import Path
from engine.engine import Engine
from engine.models import RunRequest
from engine.settings import Settings

async def follow(engine):
    request = RunRequest(language="python", code="print('up', flush=True)\\nwhile True: pass", timeout=60)
    async for event in engine.stream(request):
        if event.kind == "stdout":
            print("up", flush=True)

async def main(data_dir, runtime_dir, runs):
    settings = Settings(data_dir=Path(data_dir), runtime_dir=Path(runtime_dir), max_running=int(runs))
    async with Engine(settings) as engine:
        print("open", flush=True)
        await asyncio.gather(*(follow(engine) for _ in range(int(runs))))

asyncio.run(main(*sys.argv[1:]))
"""


# An engine that makes a snapshot: a line for each that it says of it.
_MAKER = """
import asyncio, sys
from pathlib import Path
from engine.engine import Engine
from engine.models import CreateSnapshotRequest
from engine.settings import Settings

async def main(data_dir, runtime_dir, _):
    async with Engine(Settings(data_dir=Path(data_dir), runtime_dir=Path(runtime_dir))) as engine:
        job = await engine.create_snapshot(CreateSnapshotRequest(language="python", name="doomed"))
        async for event in engine.job_events(job.id):
            print(event.line, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def doomed_engine(settings: Settings, source: str = _ENGINE) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with an engine at work; killed at the end at the latest."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", source, str(settings.data_dir), str(settings.runtime_dir), str(RUNS)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lines(process: asyncio.subprocess.Process, number: int) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        for _ in range(number):
            assert await process.stdout.readline()


async def test_the_next_engine_finds_nothing_of_five_runs_but_what_it_reaps(lab: Settings) -> None:
    async with doomed_engine(lab) as process:
        await lines(process, 1 + RUNS)
        assert len(vmm_pids(lab)) == RUNS
        assert len(list(lab.vms_dir.iterdir())) == RUNS
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    await gone(lab)  # each VMM dies with its engine, before any other comes
    async with Engine(lab) as engine:
        assert remains(lab) == []
        assert (await run_python(engine, "print('goes on')")).stdout == "goes on\n"


async def vm_folders(settings: Settings, number: int) -> None:
    """Until that many VMs are on their way: a folder is what comes first of one."""
    async with asyncio.timeout(30):
        while not settings.vms_dir.is_dir() or len(list(settings.vms_dir.iterdir())) < number:
            await asyncio.sleep(0)


@pytest.mark.parametrize("later_s", [0, 0.002, 0.005, 0.05])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_an_engine_killed_while_it_starts_vms_takes_them_along(
    lab: Settings, number: int, later_s: float
) -> None:
    """A VMM whose engine died before it could ask to die with it would be nobody's, with nothing written down of it."""
    async with doomed_engine(lab) as process:
        await lines(process, 1)
        await vm_folders(lab, number)
        await asyncio.sleep(later_s)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    await gone(lab)
    async with Engine(lab):
        assert remains(lab) == []


async def test_half_a_snapshot_of_a_killed_engine_is_removed_by_the_next(lab: Settings) -> None:
    async with doomed_engine(lab, _MAKER) as process:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while b"Saving the machine" not in await process.stdout.readline():
                pass
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    await gone(lab)
    assert any("half a snapshot" in each for each in remains(lab))
    async with Engine(lab):
        assert remains(lab) == []


async def test_a_vmm_that_outlived_its_engine_is_ended_by_the_next(lab: Settings) -> None:
    """As if the kernel had not ended it: its death with the engine is a bonus, not what the next one relies on."""
    async with doomed_engine(lab) as process:
        await lines(process, 1 + RUNS)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    await gone(lab)
    survivor = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        folder = next(lab.vms_dir.iterdir())
        fields = Path(f"/proc/{survivor.pid}/stat").read_text().rpartition(")")[2].split()
        (folder / "vmm").write_text(f"{survivor.pid} {fields[19]}")
        async with Engine(lab):
            assert remains(lab) == []
        async with asyncio.timeout(5):
            assert await survivor.wait() == -signal.SIGKILL
    finally:
        if survivor.returncode is None:
            survivor.kill()
            await survivor.wait()


async def test_a_process_that_only_has_the_number_of_a_dead_vmm_is_left_alone(lab: Settings) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        folder = lab.vms_dir / "0123456789ab"
        folder.mkdir(parents=True)
        (folder / "vmm").write_text(f"{bystander.pid} 1")
        async with Engine(lab):
            assert remains(lab) == []
        assert bystander.returncode is None
        os.kill(bystander.pid, 0)
    finally:
        bystander.kill()
        await bystander.wait()


@pytest.mark.parametrize(
    "notes", [{}, {"vmm": ""}, {"vmm": "garbage"}, {"vmm": "1"}, {"owner": "x y z", "vmm": "-1 5"}]
)
async def test_folders_with_half_written_notes_are_reaped(lab: Settings, notes: dict[str, str]) -> None:
    folder = lab.vms_dir / "0123456789ab"
    folder.mkdir(parents=True)
    for name, text in notes.items():
        (folder / name).write_text(text)
    async with Engine(lab):
        assert remains(lab) == []
