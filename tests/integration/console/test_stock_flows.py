"""Images and snapshots made, proven, renewed and deleted by hand in the console, on a real engine."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from console.app import ConsoleApp
from console.screens.form import FormDialog
from engine.engine import Engine
from engine.models import Job, JobState
from engine.settings import Settings
from tests.console.driving import Driven, connection_to, driving
from tests.hostile.remains import remains

pytestmark = pytest.mark.vm
BUILD_S = 240.0  # mmdebstrap fetches and unpacks Debian's essential packages
SNAPSHOT_S = 120.0


@pytest.fixture
def folders(lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Images of the test's own beside those that all tests share, and no preferences of the person who runs it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shared = lab.images_dir.resolve()
    lab.images_dir.unlink()
    shutil.copytree(shared / "python", lab.images_dir / "python")
    return lab


@pytest.fixture
async def driven(folders: Settings) -> AsyncIterator[Driven]:
    app = ConsoleApp(connection_to(Engine(folders, caller="console")), tick_s=0.5)
    async with driving(app) as driven:
        await driven.until(lambda: app.last_health is not None, within_s=30)
        yield driven


async def the_job(driven: Driven) -> Job:
    """The newest."""
    api = driven.app.connection.api
    assert api is not None
    return (await api.jobs())[0]


async def ended(driven: Driven, within_s: float) -> Job:
    async with asyncio.timeout(within_s):
        while (job := await the_job(driven)).state is JobState.RUNNING:
            await driven.pilot.pause(0.1)
    return job


async def form(driven: Driven, key: str) -> FormDialog:
    await driven.press(key)
    await driven.until(lambda: isinstance(driven.app.screen, FormDialog), within_s=10)
    await driven.pilot.app.workers.wait_for_complete(list(driven.app.screen.workers))
    screen = driven.app.screen
    assert isinstance(screen, FormDialog)
    return screen


async def build(driven: Driven, name: str) -> None:
    """Fill the form for an image with Bash alone, and send it."""
    await driven.mode("3", "✓ usable")
    await form(driven, "b")
    await driven.press("tab", "tab", *"bash", "tab", *name, "enter")
    await driven.until(lambda: driven.app.current_mode == "jobs", within_s=30)


def processes_in(folder: Path) -> list[str]:
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:  # ended meanwhile
            continue
        if any(str(folder) in part for part in command):
            found.append(" ".join(command))
    return found


async def test_a_build_that_is_cancelled_in_the_console_leaves_nothing(driven: Driven, folders: Settings) -> None:
    await build(driven, "never")
    await driven.until(lambda: processes_in(folders.images_dir), within_s=BUILD_S)
    await driven.until(lambda: "installing essential packages" in driven.output.text, within_s=BUILD_S)
    await driven.press("X")
    await driven.sees("Stop Build image never?")
    await driven.press("tab", "enter")
    await driven.until(lambda: "✗ cancelled" in driven.text, within_s=60)
    assert (await the_job(driven)).state is JobState.CANCELLED
    assert [path.name for path in folders.images_dir.iterdir()] == ["python"]
    assert str(folders.data_dir) not in Path("/proc/mounts").read_text()
    assert processes_in(folders.images_dir) == []


async def test_an_image_is_built_in_the_console_and_deleted(driven: Driven, folders: Settings) -> None:
    await build(driven, "tiny")
    job = await ended(driven, BUILD_S)
    assert (job.state, job.result) == (JobState.DONE, "tiny"), job.error
    await driven.mode("3", "tiny")
    await driven.press("j", "D")
    await driven.sees("Delete image tiny?")
    await driven.press("tab", "enter")
    await driven.until(lambda: driven.table.keys == ["python"], within_s=20)
    await driven.until(lambda: [path.name for path in folders.images_dir.iterdir()] == ["python"], within_s=20)


async def test_a_snapshot_is_made_proven_renewed_and_deleted_in_the_console(driven: Driven, folders: Settings) -> None:
    await driven.mode("4", "Snapshots")
    opened = await form(driven, "n")
    opened.choose("language", "bash")
    name = opened.field("name").value
    opened.field("name").entry.focus()
    await driven.press("enter")
    await driven.until(lambda: driven.app.current_mode == "jobs", within_s=30)
    job = await ended(driven, SNAPSHOT_S)
    assert (job.state, job.result) == (JobState.DONE, name), job.error

    await driven.mode("4", name)
    driven.table.move_cursor(name)
    await driven.press("v")
    await driven.sees("◐ proving")
    await driven.until(lambda: "◐ proving" not in driven.text, within_s=SNAPSHOT_S)
    await driven.press("enter")
    await driven.sees("a clone works")
    await driven.press("escape")

    inode = (folders.snapshots_dir / name / "memory").stat().st_ino
    await driven.press("u")
    await driven.until(lambda: driven.app.current_mode == "jobs", within_s=30)
    job = await ended(driven, SNAPSHOT_S)
    assert (job.state, job.result) == (JobState.DONE, name), job.error
    assert (folders.snapshots_dir / name / "memory").stat().st_ino != inode

    await driven.mode("4", name)
    driven.table.move_cursor(name)
    await driven.press("D")
    await driven.sees("will be freed")
    await driven.press("tab", "enter")
    await driven.until(lambda: name not in driven.table.keys, within_s=20)
    await driven.until(lambda: remains(folders) == [], within_s=20)
