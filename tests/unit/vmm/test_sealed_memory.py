"""Sealed copies of guest memory: the same bytes, writable for nobody, made once, kept while they serve."""

from __future__ import annotations

import asyncio
import gc
import mmap
import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engine.vmm import memory_file, sealed_memory
from engine.vmm.sealed_memory import SealedMemories

MIB = 1024 * 1024
SIZE = 8 * MIB


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """A sparse file with data here and there."""
    return made(tmp_path / "memory")


def made(path: Path) -> Path:
    with path.open("wb") as file:
        for at in (0, 3 * MIB, SIZE - 4096):
            file.seek(at)
            file.write(os.urandom(4096))
    return path


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes of all copies that are made."""
    seen: list[int] = []
    copy = memory_file.sealed_copy

    def counting(source: int, name: str) -> int:
        fd = copy(source, name)
        seen.append(os.fstat(fd).st_ino)
        return fd

    monkeypatch.setattr(memory_file, "sealed_copy", counting)
    return seen


async def fd_of(memories: SealedMemories, path: Path) -> int:
    return (await memories.open(path)).fd


async def test_the_copy_has_every_byte_and_no_page_more(memory: Path) -> None:
    sealed = await SealedMemories().open(memory)
    try:
        assert os.pread(sealed.fd, SIZE + 1, 0) == memory.read_bytes()
        assert os.fstat(sealed.fd).st_blocks * 512 == 3 * 4096
        assert sealed.holes_bytes == SIZE - 3 * 4096
    finally:
        os.close(sealed.fd)


async def test_pages_of_zeros_cost_nothing_even_where_the_file_has_them(memory: Path) -> None:
    memory.write_bytes(memory.read_bytes())
    assert memory.stat().st_blocks * 512 >= SIZE
    sealed = await SealedMemories().open(memory)
    os.close(sealed.fd)
    assert sealed.holes_bytes == SIZE - 3 * 4096


WAYS_TO_CHANGE: dict[str, Callable[[int], object]] = {
    "write": lambda fd: os.pwrite(fd, b"x", 0),
    "write where it is empty": lambda fd: os.pwrite(fd, b"x", MIB),
    "map shared": lambda fd: mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_WRITE),
    "shorten": lambda fd: os.ftruncate(fd, 0),
    "lengthen": lambda fd: os.ftruncate(fd, 2 * SIZE),
}


@pytest.mark.parametrize("change", WAYS_TO_CHANGE.values(), ids=WAYS_TO_CHANGE.keys())
async def test_nobody_can_change_it_not_even_opened_for_writing(memory: Path, change: Callable[[int], object]) -> None:
    fd = await fd_of(SealedMemories(), memory)
    opened = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
    try:
        for each in (fd, opened):
            with pytest.raises(PermissionError):
                change(each)
    finally:
        os.close(opened)
        os.close(fd)


async def test_what_one_clone_writes_no_other_sees(memory: Path) -> None:
    fd = await fd_of(SealedMemories(), memory)
    try:
        with (
            closing(mmap.mmap(fd, SIZE, mmap.MAP_PRIVATE)) as one,
            closing(mmap.mmap(fd, SIZE, mmap.MAP_PRIVATE)) as two,
        ):
            one[: 2 * MIB] = b"x" * 2 * MIB
            assert two[:] == memory.read_bytes()
            assert os.pread(fd, SIZE, 0) == memory.read_bytes()
    finally:
        os.close(fd)


async def test_eight_that_ask_at_once_get_one_copy(memory: Path, copies: list[int]) -> None:
    memories = SealedMemories()
    fds = await asyncio.gather(*(fd_of(memories, memory) for _ in range(8)))
    try:
        assert len(set(fds)) == 8
        assert len({os.fstat(fd).st_ino for fd in fds}) == 1
    finally:
        for fd in fds:
            os.close(fd)
    assert len(copies) == 1


async def test_one_who_gives_up_does_not_spoil_it_for_the_others(memory: Path, copies: list[int]) -> None:
    memories = SealedMemories()
    first, second = (asyncio.create_task(fd_of(memories, memory)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    os.close(await second)
    assert len(copies) == 1


async def test_a_snapshot_that_gets_its_name_keeps_its_copy(memory: Path, copies: list[int]) -> None:
    memories = SealedMemories()
    os.close(await fd_of(memories, memory))
    os.close(await fd_of(memories, memory.rename(memory.with_name("published"))))
    assert len(copies) == 1


async def test_a_snapshot_made_anew_gets_a_new_copy_and_the_old_one_goes(memory: Path, copies: list[int]) -> None:
    memories = SealedMemories()
    os.close(await fd_of(memories, memory))
    made(memory.with_name("new")).replace(memory)
    fd = await fd_of(memories, memory)
    try:
        assert os.pread(fd, SIZE, 0) == memory.read_bytes()
    finally:
        os.close(fd)
    await only(copies, [copies[1]])


async def test_the_copy_of_a_removed_snapshot_goes(memory: Path, copies: list[int]) -> None:
    memories = SealedMemories()
    os.close(await fd_of(memories, memory))
    memory.unlink()
    memories.tidy()
    await only(copies, [])


async def test_only_those_last_used_are_kept(tmp_path: Path, copies: list[int]) -> None:
    memories = SealedMemories(kept_max=2)
    a, b, c = (made(tmp_path / name) for name in "abc")
    for path in (a, b, a, c):
        os.close(await fd_of(memories, path))
    await only(copies, [copies[0], copies[2]])


async def test_one_that_its_clones_have_filled_is_replaced(
    memory: Path, copies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_memory, "_GROWTH_MAX_BYTES", MIB)
    memories = SealedMemories()
    fd = await fd_of(memories, memory)
    with closing(mmap.mmap(fd, SIZE, mmap.MAP_PRIVATE)) as clone:
        clone[:SIZE] = b"x" * SIZE
    os.close(fd)
    sealed = await memories.open(memory)
    os.close(sealed.fd)
    assert sealed.holes_bytes == SIZE - 3 * 4096
    await only(copies, [copies[1]])


async def test_a_driver_that_is_gone_keeps_nothing(memory: Path, copies: list[int]) -> None:
    memories = SealedMemories()
    os.close(await fd_of(memories, memory))
    del memories
    await only(copies, [])


async def test_a_failed_copy_is_an_error_for_all_and_tried_again(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memories = SealedMemories()

    def full(source: int, name: str) -> int:
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as broken:
        broken.setattr(memory_file, "sealed_copy", full)
        outcomes = await asyncio.gather(*(fd_of(memories, memory) for _ in range(2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]
    os.close(await fd_of(memories, memory))


async def only(copies: list[int], expected: list[int]) -> None:
    """Until no more than ``expected`` of the copies are open in this process."""
    async with asyncio.timeout(10):
        while (held := kept(copies)) != expected:
            assert set(held) >= set(expected)
            await asyncio.sleep(0)


def kept(copies: list[int]) -> list[int]:
    """Those of the copies that this process still has open."""
    gc.collect()
    held: set[int] = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this very listing
            held.add(entry.stat().st_ino)
    return [inode for inode in copies if inode in held]
