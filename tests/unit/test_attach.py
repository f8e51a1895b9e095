"""Which engine a front end gets."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.attach import open_engine
from engine.engine import Engine
from engine.errors import ConflictError, NotReadyError
from engine.host.process import ProcessId
from engine.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "run")


async def test_one_engine_owns_a_data_folder_and_a_second_says_who_holds_it(settings: Settings) -> None:
    async with Engine(settings):
        with pytest.raises(ConflictError, match=str(os.getpid())):
            await Engine(settings).__aenter__()
    async with Engine(settings):
        pass


async def test_a_front_end_waits_for_a_short_lived_owner_and_says_so(settings: Settings) -> None:
    notices: list[str] = []
    waited = asyncio.Event()

    def notice(text: str) -> None:
        notices.append(text)
        waited.set()

    async def second() -> str:
        async with open_engine(settings, notice) as engine:
            return type(engine).__name__

    async with Engine(settings):
        waiting = asyncio.create_task(second())
        await asyncio.wait_for(waited.wait(), 10)
    assert await asyncio.wait_for(waiting, 10) == "Engine"
    assert len(notices) == 1


async def test_a_socket_that_a_killed_engine_left_does_not_stop_the_next(settings: Settings) -> None:
    settings.runtime_dir.mkdir(parents=True)
    settings.socket_path.touch()
    async with open_engine(settings) as engine:
        assert isinstance(engine, Engine)


async def test_a_runtime_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "file" / "run")
    with pytest.raises(NotReadyError, match="file/run"):
        await Engine(settings).__aenter__()


async def test_the_folder_of_a_vm_whose_engine_lives_is_left_alone(settings: Settings) -> None:
    """Two engines may share a runtime folder's file system, never a VM."""
    living, dead = settings.vms_dir / "living", settings.vms_dir / "dead"
    for home, holder in ((living, str(ProcessId.of(os.getpid()))), (dead, "1 1")):
        home.mkdir(parents=True)
        (home / "owner").write_text(holder)
    async with Engine(settings):
        assert living.exists()
        assert not dead.exists()
