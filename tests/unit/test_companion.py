"""The engine that a console starts: where it is found, and what it takes along from its starter."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from engine import companion
from engine.client import RemoteEngine
from engine.engine import Engine
from engine.errors import NotReadyError
from engine.http.server import serve_socket
from engine.models import EngineIdentity
from engine.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of this process and of those that it starts."""
    for name in ("config", "data", "runtime"):
        monkeypatch.setenv(f"VMDECK_{name.upper()}_DIR", str(tmp_path / name))
    return Settings()


def unheard(_: str) -> None:
    """What an engine waits for while it starts."""


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[tuple[Path, EngineIdentity]]:
    """Its socket and who it is; ended with the block."""
    async with companion.reached(settings, (), unheard, may_start=True) as path:
        async with RemoteEngine(path) as remote, aclosing(remote.attach()) as beats:
            identity = await anext(beats)
            try:
                yield path, identity
            finally:
                os.kill(identity.pid, signal.SIGTERM)
        while Path(f"/proc/{identity.pid}").exists():
            await asyncio.sleep(0.02)


async def test_it_takes_along_what_an_engine_needs_and_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"AWS_REGION": "eu-1", "https_proxy": "http://proxy:1", "XDG_CACHE_HOME": "/c", "VMDECK_MAX_RUNNING": "3"}
    for name, value in {**kept, "GITHUB_TOKEN": "s3cret", "PATHOLOGY": "s3cret"}.items():
        monkeypatch.setenv(name, value)
    async with asyncio.timeout(60), started(settings) as (_, engine):
        process = Path(f"/proc/{engine.pid}")
        there = dict(entry.split("=", 1) for entry in (process / "environ").read_text().split("\0") if entry)
        assert (process / "cwd").readlink() == Path("/")
    assert kept.items() <= there.items()
    assert there["PATH"] == os.environ["PATH"]
    assert "s3cret" not in there.values()


async def test_folders_that_are_named_from_where_the_console_runs_are_the_same_for_its_engine(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("config", "data", "runtime"):
        monkeypatch.setenv(f"VMDECK_{name.upper()}_DIR", f"./{name}")
    async with asyncio.timeout(60), started(Settings()) as (path, engine):
        assert path.samefile(settings.socket_path)
        assert engine.data_dir == str(settings.data_dir)


async def test_the_owner_of_the_data_folder_is_found_in_another_runtime_folder(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Engine(settings) as owner, serve_socket(owner, settings), asyncio.timeout(60):
        monkeypatch.setenv("VMDECK_RUNTIME_DIR", str(tmp_path / "elsewhere"))
        for may_start in (True, False):
            async with companion.reached(Settings(), (), unheard, may_start=may_start) as path:
                assert path == settings.socket_path
    assert not (tmp_path / "elsewhere").exists()


async def test_a_runtime_folder_of_others_is_neither_used_nor_asked(settings: Settings) -> None:
    settings.runtime_dir.mkdir()
    settings.socket_path.touch()
    settings.runtime_dir.chmod(0o777)
    for may_start in (True, False):
        with pytest.raises(NotReadyError, match="other users may change"):
            async with companion.reached(settings, (), unheard, may_start=may_start):
                pass


async def test_a_log_that_is_a_link_is_not_followed(settings: Settings, tmp_path: Path) -> None:
    settings.runtime_dir.mkdir(mode=0o700)
    settings.engine_log.symlink_to(tmp_path / "victim")
    with pytest.raises(NotReadyError, match="The log "):
        async with companion.reached(settings, (), unheard, may_start=True):
            pass
    assert not (tmp_path / "victim").exists()


def test_the_log_stays_its_owners_alone_when_it_rolls_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, errors = tmp_path / "engine.log", (tmp_path / "stderr").open("w")
    monkeypatch.setattr("sys.stderr", errors)
    handler = companion._Log(path, maxBytes=1000, backupCount=1)
    try:
        for number in range(100):
            handler.emit(logging.makeLogRecord({"msg": f"line {number} \ud800"}))
        os.write(errors.fileno(), b"a crash\n")
    finally:
        handler.close()
        errors.close()
    assert {each.name: each.stat().st_mode & 0o777 for each in tmp_path.glob("engine.log*")} == {
        "engine.log": 0o600,
        "engine.log.1": 0o600,
    }
    assert path.read_text().endswith("a crash\n")
