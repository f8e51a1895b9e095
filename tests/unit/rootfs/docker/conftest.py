"""A tree to unpack into, and beside it what no archive may reach."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.rootfs.docker.tree import Tree
from engine.rootfs.docker.unpack import Bounds, Unpacker

SMALL = Bounds(members=500, file_bytes=8 * 1024 * 1024)
Unpack = Callable[..., Unpacker]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the tree; after the test all in it is as it was."""
    folder = tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    (folder / "secret").write_text("secret")
    (folder / "inner" / "deep").write_text("deep")
    before = seen(folder)
    yield folder
    assert seen(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "tree"]


@pytest.fixture
def unpack(tree: Path, outside: Path) -> Unpack:
    """Unpacks streams as layers, or one as a whole file system."""

    def unpacked(*streams: bytes, whole: bool = False, bounds: Bounds = SMALL) -> dict[str, int]:
        with Tree(tree) as filled:
            unpacker = Unpacker(filled, bounds)
            for stream in streams:
                (unpacker.whole if whole else unpacker.layer)(io.BytesIO(stream))
        return dict(filled.lost)

    return unpacked


def seen(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a folder: kind, mode, owner, links, content."""
    found: dict[str, tuple[object, ...]] = {}
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            status = path.lstat()
            held = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(folder))] = (status.st_mode, status.st_uid, status.st_nlink, held)
    return found
