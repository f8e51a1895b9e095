"""A console without a daemon: it starts an engine in a process of its own, which stays for as long as it is needed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from engine.client import RemoteEngine
from engine.engine import Engine
from engine.models import CreateSnapshotRequest, EngineIdentity, JobState
from engine.settings import Settings
from tests.integration.console.terminal import Terminal

pytestmark = pytest.mark.vm
SOON_S = 40  # the grace of an engine that nobody needs, and what a busy machine adds


@asynccontextmanager
async def opened(lab: Settings, *arguments: str) -> AsyncIterator[Terminal]:
    """A console on the area of the scratchpad, with its engine at hand."""
    terminal = await Terminal.start(lab, *(arguments or ("console",)))
    try:
        await terminal.until("Overview")
        terminal.type("5")
        await terminal.until("warm")  # the language is there, and so is its snapshot
        yield terminal
    finally:
        await terminal.close()


async def identity(lab: Settings) -> EngineIdentity:
    """Of the engine that serves the lab's socket."""
    async with RemoteEngine(lab.socket_path) as engine, aclosing(engine.attach()) as beats:
        return await anext(beats)


async def eventually(condition: Callable[[], bool], within_s: float = SOON_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


async def ends(pid: int, lab: Settings) -> None:
    """The engine ends by itself, soon, and leaves no socket and no VM."""
    await eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert not lab.socket_path.exists()
    assert not list(lab.vms_dir.glob("*"))
    assert "this engine ends" in lab.engine_log.read_text()


async def test_it_runs_code_and_ends_with_the_console_that_started_it(lab: Settings) -> None:
    async with opened(lab) as console:
        engine = await identity(lab)
        assert (engine.serves, engine.pid != console.process.pid) == ("console", True)
        console.type("\x12")  # ctrl+r
        await console.until("Hello from Python 3.")
        await console.until("exit 0")
        await console.until("own")
        console.type("\x11")  # ctrl+q
        assert await asyncio.wait_for(console.process.wait(), 10) == 0
    await ends(engine.pid, lab)


async def test_it_ends_too_when_its_console_is_killed(lab: Settings) -> None:
    async with opened(lab) as console:
        engine = await identity(lab)
        console.process.kill()
        await console.process.wait()
    await ends(engine.pid, lab)


async def test_two_consoles_that_start_at_once_share_one_engine(lab: Settings) -> None:
    async with opened(lab) as first, opened(lab) as second:
        engine = await identity(lab)
        first.type("\x11")
        await asyncio.wait_for(first.process.wait(), 10)
        second.type("\x12")
        await second.until("Hello from Python 3.")
        assert (await identity(lab)).id == engine.id
    await ends(engine.pid, lab)


@pytest.mark.nightly
async def test_started_in_the_same_moment_they_share_one_engine_as_well(lab: Settings) -> None:
    both = [await Terminal.start(lab, "console") for _ in range(2)]
    try:
        for each in both:
            each.type("5")
        for each in both:
            await each.until("warm")
        engine = await identity(lab)
    finally:
        for each in both:
            await each.close()
    await ends(engine.pid, lab)


async def test_leaving_the_console_ends_its_run_after_a_question(lab: Settings) -> None:
    async with opened(lab) as console:
        engine = await identity(lab)
        console.type("\x12")
        await eventually(lambda: bool(list(lab.vms_dir.glob("*"))))
        console.type("\x11")
        await console.until("This ends")
        console.type("\x11")  # a second one leaves at once
        await asyncio.wait_for(console.process.wait(), 10)
    await eventually(lambda: not list(lab.vms_dir.glob("*")))
    await ends(engine.pid, lab)


@pytest.mark.parametrize(
    "leaving",
    [
        pytest.param("quits", marks=pytest.mark.nightly),
        "hangs up",
        pytest.param("is killed", marks=pytest.mark.nightly),
    ],
)
async def test_a_job_goes_on_to_its_end_when_the_console(leaving: str, lab: Settings) -> None:
    async with opened(lab) as console:
        pid = (await identity(lab)).pid
        async with RemoteEngine(lab.socket_path) as engine:
            job = await engine.create_snapshot(CreateSnapshotRequest(language="python", name="again", memory_mib=128))
            match leaving:
                case "quits":
                    console.type("\x11")
                case "hangs up":
                    console.hang_up()
                case _:
                    console.process.kill()
            await asyncio.wait_for(console.process.wait(), 10 if leaving == "quits" else 3)
            # Asking for jobs does not make a viewer.
            async with asyncio.timeout(120):
                while (ended := await _job(engine, job.id)) is JobState.RUNNING:
                    await asyncio.sleep(0.2)
        assert ended is JobState.DONE
    await ends(pid, lab)
    assert (lab.snapshots_dir / "again" / "manifest.json").exists()


async def _job(engine: RemoteEngine, job_id: str) -> JobState:
    return next(job.state for job in await engine.jobs() if job.id == job_id)


@pytest.mark.nightly
async def test_an_engine_that_can_not_start_shows_why_and_starts_when_that_is_mended(lab: Settings) -> None:
    config = Path(os.environ["VMDECK_CONFIG_DIR"])
    config.mkdir()
    (config / "languages.toml").write_text("[[[")
    terminal = await Terminal.start(lab, "console")
    try:
        await terminal.until("no engine")
        await terminal.until("is not a valid catalogue")
        await terminal.until("R tries again")
        (config / "languages.toml").unlink()
        terminal.type("R")
        await terminal.until_open()
    finally:
        await terminal.close()
    await eventually(lambda: not lab.socket_path.exists())


async def test_an_engine_that_was_killed_is_replaced(lab: Settings) -> None:
    async with opened(lab) as console:
        engine = await identity(lab)
        os.kill(engine.pid, signal.SIGKILL)
        await console.until("lost", within_s=3)
        await console.until_open()
        other = await identity(lab)
        assert other.id != engine.id
        console.type("\x12")
        await console.until("Hello from Python 3.")
    await ends(other.pid, lab)


async def test_commands_attach_to_it(lab: Settings) -> None:
    async with opened(lab):
        host = await Terminal.start(lab, "host", "--lang", "python", "--code", "print('beside' + ' it')")
        try:
            await host.until("beside it")
            assert await asyncio.wait_for(host.process.wait(), 10) == 0
        finally:
            await host.close()
    await eventually(lambda: not lab.socket_path.exists())


@pytest.mark.nightly
async def test_it_waits_for_a_command_that_has_the_data_folder_and_says_so(lab: Settings) -> None:
    async with AsyncExitStack() as stack:
        async with Engine(lab):
            terminal = await Terminal.start(lab, "console")
            stack.push_async_callback(terminal.close)
            await terminal.until("… Another engine (process")
            assert "starting" in terminal.screen
        await terminal.until_open()
    await eventually(lambda: not lab.socket_path.exists())
