from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError
from engine.models import Image
from engine.rootfs.store import ImageOrigin, ImageStore
from engine.settings import Settings


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(Settings(data_dir=tmp_path))


async def put(store: ImageStore, name: str = "tiny", content: bytes = b"content") -> None:
    async def build(rootfs: Path) -> ImageOrigin:
        rootfs.write_bytes(content)
        return ImageOrigin(source="test", languages=("bash",), env={"PATH": "/bin"}, user="nobody", workdir="/srv")

    await store.put(name, build)


def nothing_uses_it(image: Image) -> tuple[str, ...]:
    return ()


async def test_an_image_comes_back_with_its_digest_and_origin(store: ImageStore) -> None:
    await put(store)
    image = store.get("tiny")
    assert image.digest == hashlib.sha256(b"content").hexdigest()
    assert (image.env, image.user, image.workdir, image.languages) == ({"PATH": "/bin"}, "nobody", "/srv", ("bash",))
    assert Path(image.path).read_bytes() == b"content"
    assert store.list() == [image]


async def test_building_again_gives_another_digest_under_the_same_name(store: ImageStore) -> None:
    await put(store)
    first = store.get("tiny")
    await put(store, content=b"other")
    assert store.get("tiny").digest != first.digest
    assert [image.name for image in store.list()] == ["tiny"]


async def test_a_failed_build_leaves_the_older_image_and_nothing_else(store: ImageStore) -> None:
    await put(store)

    async def fails(rootfs: Path) -> ImageOrigin:
        rootfs.write_bytes(b"half")
        raise NotReadyError("no network")

    with pytest.raises(NotReadyError, match="no network"):
        await store.put("tiny", fails)
    assert Path(store.get("tiny").path).read_bytes() == b"content"
    assert [path.name for path in store.folder.iterdir()] == ["tiny"]


@pytest.mark.parametrize("name", ["../up", "", "Upper", ".hidden", "a/b", "a" * 64, "-x", "a\n"])
async def test_a_name_that_is_no_name_makes_nothing(store: ImageStore, name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        await put(store, name)
    assert list(tmp_path.iterdir()) == []


async def test_a_name_that_is_no_name_is_not_found(store: ImageStore) -> None:
    await put(store)
    with pytest.raises(NotFoundError):
        store.get("../images/tiny")


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"name": "tiny"}', "\x00\xff"])
async def test_a_corrupt_manifest_is_a_problem_of_that_image_only(store: ImageStore, manifest: str) -> None:
    await put(store)
    await put(store, "whole")
    (store.folder / "tiny/manifest.json").write_text(manifest)
    problems = {image.name: image.problem for image in store.list()}
    assert "manifest.json" in (problems["tiny"] or "")
    assert problems["whole"] is None
    with pytest.raises(NotReadyError):
        store.get("tiny")


async def test_a_cut_file_is_seen_by_its_size(store: ImageStore) -> None:
    await put(store)
    os.truncate(store.get("tiny").path, 3)
    assert "3 bytes instead of 7" in (store.check("tiny").problem or "")


async def test_a_missing_file_is_a_problem(store: ImageStore) -> None:
    await put(store)
    Path(store.get("tiny").path).unlink()
    assert store.check("tiny").problem


async def test_an_image_renamed_by_hand_is_a_problem(store: ImageStore) -> None:
    await put(store)
    (store.folder / "tiny").rename(store.folder / "other")
    assert "manifest is that of tiny" in (store.check("other").problem or "")


async def test_changed_content_of_the_same_size_is_found_by_verify(store: ImageStore) -> None:
    await put(store)
    assert (await store.verify("tiny")).problem is None
    Path(store.get("tiny").path).write_bytes(b"CONTENT")
    assert store.check("tiny").problem is None
    assert (await store.verify("tiny")).problem is not None


async def test_an_image_in_use_stays(store: ImageStore) -> None:
    await put(store)
    digest = store.get("tiny").digest
    with pytest.raises(ConflictError, match="snapshot s1"):
        store.remove("tiny", lambda image: ("snapshot s1",) if image.digest == digest else ())
    assert store.get("tiny")


async def test_removing_leaves_nothing(store: ImageStore) -> None:
    await put(store)
    store.remove("tiny", nothing_uses_it)
    assert [path.name for path in store.folder.iterdir()] == []
    with pytest.raises(NotFoundError):
        store.remove("tiny", nothing_uses_it)


async def test_a_damaged_image_can_be_removed(store: ImageStore) -> None:
    await put(store)
    (store.folder / "tiny/manifest.json").write_text(json.dumps({"name": 1}))
    store.remove("tiny", nothing_uses_it)
    assert store.list() == []


def test_no_folder_is_no_images(store: ImageStore) -> None:
    assert store.list() == []


@pytest.mark.parametrize("moment", ["before its manifest is read", "after it"])
async def test_an_image_that_is_removed_while_all_are_listed_is_not_among_them(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    await put(store, "stays")
    await put(store, "goes")
    real = Path.read_bytes

    def reads(path: Path) -> bytes:
        content = real(path) if moment == "after it" else b""
        if path.parent.name == "goes":
            shutil.rmtree(path.parent)
        return content or real(path)

    monkeypatch.setattr(Path, "read_bytes", reads)
    assert [image.name for image in store.list()] == ["stays"]
    with pytest.raises(NotFoundError, match="no image 'goes'"):
        store.check("goes")
