from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.rootfs.filesystem import DEFAULT_ROOM_MIB, MIB, make_ext4

SYSTEM_PATH = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def sound(image: Path) -> bool:
    return subprocess.run(["e2fsck", "-fn", image], capture_output=True, env=SYSTEM_PATH).returncode == 0


def read(image: Path, path: str) -> bytes:
    return subprocess.run(
        ["debugfs", "-R", f"cat {path}", image], capture_output=True, check=True, env=SYSTEM_PATH
    ).stdout


def many_small_files(tree: Path) -> None:
    for folder in range(40):
        (tree / f"folder-{folder}").mkdir()
        for number in range(100):
            (tree / f"folder-{folder}/a-rather-long-file-name-{number:03}").write_bytes(b"x")


def one_large_file(tree: Path) -> None:
    (tree / "large").write_bytes(b"x" * (40 * MIB))


def one_sparse_file(tree: Path) -> None:
    with (tree / "sparse").open("wb") as file:
        file.truncate(8 * MIB)


def links(tree: Path) -> None:
    (tree / "file").write_bytes(b"x" * MIB)
    for number in range(50):
        os.link(tree / "file", tree / f"hard-{number}")
        (tree / f"soft-{number}").symlink_to("y" * 200)


def nothing(tree: Path) -> None:
    pass


@pytest.mark.parametrize("fill", [many_small_files, one_large_file, one_sparse_file, links, nothing])
async def test_any_content_fits_and_the_file_system_is_sound(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    tree, image = tmp_path / "tree", tmp_path / "image"
    tree.mkdir()
    fill(tree)
    await make_ext4(tree, image, name="test")
    assert sound(image)


async def test_the_image_is_little_larger_than_its_content(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    one_large_file(tmp_path / "tree")
    await make_ext4(tmp_path / "tree", tmp_path / "image", name="test")
    assert (tmp_path / "image").stat().st_size <= (40 + DEFAULT_ROOM_MIB + 4) * MIB


async def test_stated_room_and_floor_are_kept_and_cost_no_disk(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    await make_ext4(tmp_path / "tree", tmp_path / "image", name="test", floor_mib=200)
    status = (tmp_path / "image").stat()
    assert status.st_size == 200 * MIB
    assert status.st_blocks * 512 < 2 * MIB


async def test_content_reads_back(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/greeting").write_bytes(b"hello\n")
    await make_ext4(tmp_path / "tree", tmp_path / "image", name="test")
    assert read(tmp_path / "image", "/greeting") == b"hello\n"


async def test_the_same_tree_and_name_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    many_small_files(tmp_path / "tree")
    for path in (tmp_path / "tree").rglob("*"):
        # Read times are part of a tree: set so that reading does not change them (relatime, mount(8): later than all).
        os.utime(path, (path.stat().st_mtime + 3600, path.stat().st_mtime))
    await make_ext4(tmp_path / "tree", tmp_path / "one", name="test")
    await make_ext4(tmp_path / "tree", tmp_path / "two", name="test")
    await make_ext4(tmp_path / "tree", tmp_path / "other", name="other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


async def test_the_tree_is_measured_and_written_where_its_owners_exist(tmp_path: Path) -> None:
    """Both programs are started behind the prefix that enters that namespace."""
    tree, entered = tmp_path / "tree", tmp_path / "entered"
    tree.mkdir()
    note = tmp_path / "note"
    note.write_text(f'#!/bin/sh\necho "$1" "$4" >>{entered}\nexec "$@"\n')
    note.chmod(0o755)
    await make_ext4(tree, tmp_path / "out", name="x", prefix=(str(note),))
    programs = [line.split() for line in entered.read_text().splitlines()]
    assert [each[-1] for each in programs] == ["engine.rootfs.tree_size", "-t"]
