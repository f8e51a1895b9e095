from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.errors import NotReadyError
from engine.rootfs.staging import SUFFIX, in_thread, remove_abandoned, remove_folder, staged_folder


async def test_a_folder_appears_only_when_it_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "made"
    async with staged_folder(target) as folder:
        (folder / "file").write_text("content")
        assert not target.exists()
    assert (target / "file").read_text() == "content"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


async def fail_half_way(target: Path) -> None:
    async with staged_folder(target) as folder:
        (folder / "file").write_text("half")
        raise RuntimeError("half way")


async def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        await fail_half_way(tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == []


async def test_a_failure_leaves_the_older_one_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/old").touch()
    with pytest.raises(RuntimeError, match="half way"):
        await fail_half_way(tmp_path / "made")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["old"]


async def test_a_newer_one_takes_the_whole_place_of_the_older(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/old").touch()
    async with staged_folder(tmp_path / "made") as folder:
        (folder / "new").touch()
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


async def test_what_is_not_wanted_is_removed_outside_of_the_loops_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removing: list[threading.Thread] = []
    rmtree = shutil.rmtree

    def watched(folder: Path, *, ignore_errors: bool = False) -> None:
        removing.append(threading.current_thread())
        rmtree(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", watched)
    with pytest.raises(RuntimeError, match="half way"):
        await fail_half_way(tmp_path / "made")
    assert removing
    assert threading.main_thread() not in removing


async def test_a_full_disk_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="No space left") as caught:
        async with staged_folder(tmp_path / "made"):
            Path("/dev/full").write_bytes(b"x")
    assert "Free some room" in caught.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == []


async def test_a_place_that_is_no_folder_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotReadyError, match="file"):
        async with staged_folder(tmp_path / "file" / "made"):
            pytest.fail("there is no place for it")


async def test_cancelling_waits_for_the_thread_that_writes(tmp_path: Path) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def write() -> None:
        writing.set()
        go_on.wait()
        (tmp_path / "late").touch()

    working = asyncio.create_task(in_thread(write))
    await asyncio.to_thread(writing.wait)
    working.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await working
    assert (tmp_path / "late").exists()


def test_only_what_no_living_builder_holds_is_removed(tmp_path: Path) -> None:
    held, left = tmp_path / f".a.1{SUFFIX}", tmp_path / f".b.2{SUFFIX}"
    held.mkdir()
    left.mkdir()
    (left / "file").touch()
    lock = os.open(held, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_abandoned(tmp_path)
    finally:
        os.close(lock)
    assert list(tmp_path.iterdir()) == [held]


def test_a_removed_folder_is_gone_in_one_step_whatever_stops_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "made"
    target.mkdir()
    (target / "file").touch()

    def stopped(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(target)
    assert not target.exists()
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_removed_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "made"
    target.mkdir()
    (target / "file").touch()

    def refused(*_: Path) -> Path:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        remove_folder(target)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (target / "file").exists()


def test_of_a_link_only_the_link_goes(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "made").symlink_to(tmp_path / "elsewhere")
    remove_folder(tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


async def test_a_link_gives_its_place_to_a_newer_folder_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/old").touch()
    (tmp_path / "store").mkdir()
    target = tmp_path / "store/made"
    target.symlink_to(tmp_path / "elsewhere")
    async with staged_folder(target) as folder:
        (folder / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in target.parent.iterdir()] == ["made"]
    assert (tmp_path / "elsewhere/old").exists()


async def test_a_folder_that_is_just_made_is_never_taken_for_an_abandoned_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another job looks in the moment between the making and the lock."""
    mkdtemp, looking = tempfile.mkdtemp, threading.Thread(target=remove_abandoned, args=(tmp_path,))

    def made(**how: Any) -> str:
        folder = mkdtemp(**how)
        looking.start()
        looking.join(timeout=0.2)  # it waits for the lock, or it has removed the folder by now
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", made)
    async with staged_folder(tmp_path / "made") as folder:
        looking.join()
        (folder / "file").touch()
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["file"]


def test_what_a_user_may_not_remove_goes_in_the_namespace_that_it_was_made_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f".x.1{SUFFIX}" / "tree").mkdir(parents=True)

    def refused(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(shutil, "rmtree", refused)
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []
