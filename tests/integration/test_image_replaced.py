"""An image that is built again under its name never changes under those who use it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.models import PruneRequest, RunRequest, RunResult
from engine.rootfs.store import ImageOrigin, ImageStore
from engine.settings import Settings

pytestmark = pytest.mark.vm
IMAGE = "python"
_BLOCK = b"\0" * 4096


@pytest.fixture
def own_image(lab: Settings) -> Path:
    """An image of the test's own: the lab's is a link to the one that all tests share."""
    shared = lab.images_dir.resolve()
    lab.images_dir.unlink()
    shutil.copytree(shared / IMAGE, lab.images_dir / IMAGE)
    return lab.images_dir / IMAGE


@pytest.fixture
async def narrow(lab: Settings, own_image: Path) -> AsyncIterator[Engine]:
    """An engine with one place, so that a second run waits."""
    async with Engine(lab.model_copy(update={"max_running": 1, "max_queued": 4})) as engine:
        yield engine


async def build_again(settings: Settings) -> str:
    """The same system with another digest; the new one's."""
    store = ImageStore(settings)
    older = store.get(IMAGE)

    async def build(rootfs: Path) -> ImageOrigin:
        shutil.copyfile(older.path, rootfs)
        with rootfs.open("ab") as file:
            file.write(_BLOCK)
        return ImageOrigin(source=older.source, languages=older.languages, packages=older.packages)

    return (await store.put(IMAGE, build)).digest


async def test_a_run_that_waited_while_its_image_was_built_anew_starts_from_the_new_one(
    narrow: Engine, lab: Settings
) -> None:
    first = RunRequest(language="python", code="print('up', flush=True)\nwhile True: pass", timeout=120)
    second = RunRequest(language="python", code="print('second')", timeout=60)
    async with aclosing(narrow.stream(second)) as waiting:
        async with aclosing(narrow.stream(first)) as running:
            async for event in running:
                if event.kind == "stdout":
                    break
            assert (await anext(waiting)).kind == "queued"
            before = next(image.digest for image in await narrow.images())
            assert await build_again(lab) != before
        results = [event.result async for event in waiting if event.result is not None]
    assert results[0].stdout == "second\n"
    assert results[0].boot == "cold"
    assert "the image" in results[0].boot_reason


async def test_a_snapshot_of_the_older_build_serves_those_who_name_it(narrow: Engine, lab: Settings) -> None:
    name = await snapshot_of(narrow)
    await build_again(lab)
    snapshot = next(each for each in await narrow.snapshots() if each.name == name)
    assert (snapshot.fits, snapshot.outdated, snapshot.problem) == (True, True, None)
    named = await narrow.run(RunRequest(language="python", code="print('older')", snapshot=name, timeout=60))
    assert isinstance(named, RunResult)
    assert (named.stdout, named.boot, named.vm.snapshot) == ("older\n", "snapshot", name)
    assert named.vm.image == f"{IMAGE}@{snapshot.image_digest[:12]}"
    language = next(each for each in await narrow.languages() if each.id == "python")
    assert not language.warm


async def test_the_older_build_stays_for_its_snapshot_and_is_pruned_after_it(narrow: Engine, lab: Settings) -> None:
    held = next(image.used_by for image in await narrow.images())
    assert any(user.startswith("snapshot ") for user in held)
    older = ImageStore(lab).get(IMAGE)
    await build_again(lab)
    assert next(image.used_by for image in await narrow.images()) == ()
    assert await narrow.prune(PruneRequest()) == ()
    for snapshot in await narrow.snapshots():
        await narrow.remove_snapshot(snapshot.name)
    (leftover,) = await narrow.leftovers(PruneRequest())
    assert (leftover.kind, leftover.name) == ("image", f"{IMAGE}@{older.digest[:12]}")
    assert leftover.disk_bytes == older.disk_bytes
    assert await narrow.prune(PruneRequest()) == (leftover,)
    assert [path.name for path in lab.images_dir.iterdir()] == [IMAGE]


async def snapshot_of(engine: Engine) -> str:
    return next(each.name for each in await engine.snapshots() if each.language == "python" and each.fits)
