"""The setup wizard on a real engine: an operator's keys lead from what is there to code that ran in a microVM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.app import ConsoleApp
from console.screens.confirm import ConfirmDialog
from console.screens.setup import SetupScreen
from console.setup_panes.step_table import StepTable
from console.setup_stages import Stage
from engine.engine import Engine
from engine.models import RunRequest
from engine.settings import Settings
from tests.console.driving import Driven, connection_to, driving
from tests.integration.console.terminal import Terminal
from tests.lab import made_lab

pytestmark = pytest.mark.vm
WORK_S = 240.0
VMDECK = str(Path(sys.executable).with_name("vmdeck"))


@pytest.fixture
def without_snapshot(lab: Settings) -> Settings:
    """Kernel, initramfs and image are there; what is made is the test's own."""
    for snapshot in lab.snapshots_dir.iterdir():
        snapshot.unlink()
    return lab


@pytest.fixture
def bare(prepared: Settings) -> Iterator[Settings]:
    """A data folder in which there is nothing yet."""
    with made_lab(prepared) as settings:
        for folder in settings.data_dir.iterdir():
            if folder.is_symlink():
                folder.unlink()
            else:
                for link in folder.iterdir():
                    link.unlink()
                folder.rmdir()
        yield settings


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """Requests that the wizard handed to the scratchpad."""
    requests: list[RunRequest] = []

    def open_in_scratchpad(app: ConsoleApp, request: RunRequest) -> None:
        requests.append(request)
        app.switch_mode("scratchpad")

    monkeypatch.setattr(ConsoleApp, "open_in_scratchpad", open_in_scratchpad, raising=False)
    return requests


@asynccontextmanager
async def walking(settings: Settings) -> AsyncIterator[Driven]:
    """A console over an engine of its own."""
    app = ConsoleApp(connection_to(Engine(settings, caller="console")), tick_s=0.5)
    async with driving(app) as driven:
        yield driven


async def at(driven: Driven, stage: Stage) -> SetupScreen:
    """The wizard, once it shows this stage and knows how things stand."""

    def there() -> bool:
        screen = driven.app.screen
        return isinstance(screen, SetupScreen) and screen._at is stage and not screen._walk.stale

    await driven.until(there, within_s=WORK_S)
    assert isinstance(driven.app.screen, SetupScreen)
    return driven.app.screen


async def first_run(driven: Driven, opened: list[RunRequest]) -> None:
    """From the stage of the first run to the scratchpad."""
    await at(driven, Stage.FIRST_RUN)
    await driven.sees("Everything is ready.")
    await driven.press("enter")
    await driven.until(lambda: "success  exit 0" in driven.text, within_s=WORK_S)
    assert "Hello from Python 3." in driven.text
    assert "restore " in driven.text
    await driven.press("enter")
    await at(driven, Stage.DONE)
    await driven.press("enter")
    await driven.until(lambda: driven.app.current_mode == "scratchpad", within_s=WORK_S)
    assert [request.language for request in opened] == ["python"]


async def test_the_wizard_makes_a_first_snapshot_and_a_first_run(
    without_snapshot: Settings, opened: list[RunRequest]
) -> None:
    async with walking(without_snapshot) as driven:
        await driven.press("8")
        await at(driven, Stage.SNAPSHOT)
        await driven.sees("boot python once and save its state")
        await driven.press("enter")
        await driven.until(lambda: "X cancels" in driven.text, within_s=WORK_S)
        await first_run(driven, opened)
    assert [path.name for path in without_snapshot.snapshots_dir.iterdir()] == ["python-256m-1c"]


async def leave_the_system_alone(driven: Driven, screen: SetupScreen) -> None:
    """Skip, by keys, every step that would change this machine."""
    table = screen.query_one("#pane-plan StepTable", StepTable)
    while touching := [step.id for step in screen._walk.chosen if step.touches_system]:
        await driven.press("g", *["j"] * table.keys.index(touching[0]), "space")
        await driven.until(
            lambda step=touching[0]: step not in {each.id for each in screen._walk.chosen}, within_s=WORK_S
        )


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_the_wizard_leads_from_nothing_to_a_first_run(bare: Settings, opened: list[RunRequest]) -> None:
    async with walking(bare) as driven:
        await driven.until(lambda: driven.app.current_mode == "setup", within_s=WORK_S)  # by itself
        screen = await at(driven, Stage.WELCOME)
        await driven.until(lambda: "seen just now" in driven.text, within_s=WORK_S)
        await driven.press("enter", "enter")
        await at(driven, Stage.PLAN)
        await leave_the_system_alone(driven, screen)
        assert {step.id for step in screen._walk.chosen} >= {"kernel", "initramfs"}
        await driven.press("enter")
        await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog), within_s=WORK_S)
        await driven.sees("Nothing of the system itself is changed.")
        await driven.press("right", "enter")
        await at(driven, Stage.IMAGE)
        await driven.press("enter")
        await at(driven, Stage.SNAPSHOT)
        await driven.press("enter")
        await first_run(driven, opened)


async def test_a_console_that_is_killed_while_it_makes_a_snapshot_is_resumed_by_the_next(
    without_snapshot: Settings,
) -> None:
    folders = {
        "VMDECK_DATA_DIR": str(without_snapshot.data_dir),
        "VMDECK_RUNTIME_DIR": str(without_snapshot.runtime_dir),
    }
    daemon = await asyncio.create_subprocess_exec(VMDECK, "serve", env={**os.environ, **folders})
    try:
        async with asyncio.timeout(30):
            while not without_snapshot.socket_path.exists():
                await asyncio.sleep(0.05)
        first = await Terminal.start(without_snapshot, "console")
        try:
            await first.until("Overview")
            first.type("8")
            await first.until("enter makes it", within_s=60)
            first.type("\r")
            await first.until("X cancels", within_s=60)
            first.process.send_signal(signal.SIGKILL)
            await first.process.wait()
        finally:
            await first.close()
        second = await Terminal.start(without_snapshot, "console")
        try:
            await second.until("Overview")
            second.type("8")
            await second.until("Everything is ready.", within_s=WORK_S)
        finally:
            await second.close()
        assert [path.name for path in without_snapshot.snapshots_dir.iterdir()] == ["python-256m-1c"]
    finally:
        daemon.terminate()
        await asyncio.wait_for(daemon.wait(), 30)
