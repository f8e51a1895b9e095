"""Which engine a front end gets."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.attach import open_engine
from engine.client import RemoteEngine
from engine.engine import Engine
from engine.errors import ConflictError, NotReadyError
from engine.host.process import ProcessId
from engine.http.server import serve_socket
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


@pytest.fixture
def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """The same data folder, another runtime folder."""
    return Settings(data_dir=settings.data_dir, runtime_dir=tmp_path / "elsewhere")


async def test_a_data_folder_has_one_owner_whatever_the_runtime_folder(settings: Settings, elsewhere: Settings) -> None:
    async with Engine(settings):
        with pytest.raises(ConflictError) as refused:
            await Engine(elsewhere).__aenter__()
        for part in (str(os.getpid()), str(settings.data_dir), str(settings.socket_path)):
            assert part in refused.value.message
        assert f"--connect {settings.socket_path}" in refused.value.remedy
        assert settings.data_lock_path.stat().st_mode & 0o777 == 0o600
    async with Engine(elsewhere):
        with pytest.raises(ConflictError, match=str(elsewhere.socket_path)):
            await Engine(settings).__aenter__()


async def test_who_is_refused_leaves_the_runtime_folder_to_others(
    settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    async with Engine(settings):
        with pytest.raises(ConflictError):
            await Engine(elsewhere).__aenter__()
        async with Engine(Settings(data_dir=tmp_path / "other", runtime_dir=elsewhere.runtime_dir)):
            pass


async def test_a_front_end_finds_the_owner_of_its_data_folder_in_another_runtime_folder(
    settings: Settings, elsewhere: Settings
) -> None:
    notices: list[str] = []
    async with (
        Engine(settings) as owner,
        serve_socket(owner, settings),
        open_engine(elsewhere, notices.append) as engine,
    ):
        assert notices == []
        assert isinstance(engine, RemoteEngine)
        assert engine.where == str(settings.socket_path)
        assert (await engine.health()).version


async def test_a_data_folder_that_nobody_can_write_does_not_keep_an_engine_from_telling_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    async with Engine(Settings(data_dir=tmp_path / "file" / "data", runtime_dir=tmp_path / "run")) as engine:
        assert (await engine.health()).status == "blocked"
    assert "is not locked" in caplog.text


async def test_a_lock_that_is_a_link_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    settings.data_dir.mkdir()
    settings.data_lock_path.symlink_to(tmp_path / "victim")
    with pytest.raises(NotReadyError, match=str(settings.data_dir)):
        await Engine(settings).__aenter__()
    assert not (tmp_path / "victim").exists()


async def test_a_runtime_folder_of_others_is_neither_used_nor_asked(settings: Settings) -> None:
    settings.runtime_dir.mkdir()
    settings.socket_path.touch()
    settings.runtime_dir.chmod(0o777)
    with pytest.raises(NotReadyError, match="other users may change") as refused:
        async with open_engine(settings):
            pass
    assert "chmod" in refused.value.remedy


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
