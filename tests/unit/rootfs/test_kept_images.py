"""An older build stays for the snapshots that were made of it, and goes when nothing needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import NotFoundError
from engine.models import Image
from engine.rootfs.store import ImageOrigin, ImageStore
from engine.settings import Settings


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(Settings(data_dir=tmp_path))


async def put(store: ImageStore, content: bytes) -> Image:
    async def build(rootfs: Path) -> ImageOrigin:
        rootfs.write_bytes(content)
        return ImageOrigin(source="test", languages=("bash",), installed=("bash 5",))

    return await store.put("tiny", build)


async def test_the_older_build_is_still_found_by_its_digest(store: ImageStore) -> None:
    first, second = await put(store, b"first"), await put(store, b"second")
    assert store.find("tiny", second.digest) == second
    older = store.find("tiny", first.digest)
    assert (older.name, older.digest, older.problem) == (f"tiny@{first.digest[:12]}", first.digest, None)
    assert store.find(older.name, older.digest) == older
    assert Path(older.path).read_bytes() == b"first"
    assert [image.path for image in store.list()] == [second.path]


async def test_the_same_bytes_again_are_no_other_build(store: ImageStore) -> None:
    await put(store, b"same")
    await put(store, b"same")
    assert store.older() == []


async def test_a_removed_older_build_leaves_nothing(store: ImageStore) -> None:
    first, second = await put(store, b"first"), await put(store, b"second")
    for image in store.older():
        store.remove_older(image)
    with pytest.raises(NotFoundError):
        store.find("tiny", first.digest)
    assert store.get("tiny") == second
    assert [path.name for path in store.folder.iterdir()] == ["tiny"]


async def test_a_damaged_image_is_replaced_and_not_kept(store: ImageStore) -> None:
    first = await put(store, b"first")
    Path(first.path).write_bytes(b"damaged")
    await put(store, b"second")
    assert store.older() == []


async def test_an_image_that_is_a_link_is_kept_as_one(store: ImageStore, tmp_path: Path) -> None:
    first = await put(store, b"first")
    (store.folder / "tiny").rename(tmp_path / "elsewhere")
    (store.folder / "tiny").symlink_to(tmp_path / "elsewhere")
    await put(store, b"second")
    assert Path(store.find("tiny", first.digest).path).read_bytes() == b"first"
    store.remove_older(store.older()[0])
    assert (tmp_path / "elsewhere" / "rootfs.ext4").read_bytes() == b"first"


async def test_a_name_that_is_none_finds_nothing(store: ImageStore) -> None:
    with pytest.raises(NotFoundError):
        store.find("../tiny", "0" * 64)
