"""One key per image name, and many snapshots: none loses the image that it needs, there or here."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from engine.engine import Engine
from engine.errors import ConflictError
from engine.exchange import TRANSFERS_AT_ONCE
from engine.models import RemoteSnapshot
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from engine.snapshots.store import SnapshotStore
from tests.integration.objectstore.hosts import MIB, Corner, done, failed, left_behind, make_image, make_snapshot

Host = Callable[..., Settings]
NAME = "python-256"
OWN = f"snapshots/{NAME}/rootfs.manifest.json"


def digest_in(corner: Corner, key: str = "rootfs-python.manifest.json") -> str:
    return json.loads(corner.read(key))["rootfs"]["sha256"]


async def listed(engine: Engine, corner: Corner) -> RemoteSnapshot:
    (snapshot,) = await engine.remote_snapshots(corner.place)
    return snapshot


async def sent_snapshot(corner: Corner, settings: Settings) -> str:
    """The digest of its image."""
    image = await make_image(settings, data_mib=1)
    make_snapshot(settings, image)
    async with Engine(settings) as engine:
        await done(engine, await engine.upload_snapshot(NAME, corner.place))
    return image.digest


async def test_an_image_there_that_snapshots_need_is_not_replaced(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    needed = await sent_snapshot(corner, here)
    newer = await make_image(here, data_mib=1, seed=2)
    async with Engine(here) as engine:
        said = await failed(engine, await engine.upload_image("python", corner.place))
        assert f"these snapshots there need that: {NAME}" in said
        assert "vmdeck snapshot refresh" in said
        assert digest_in(corner) == needed
        make_snapshot(here, newer)  # the remedy
        await done(engine, await engine.upload_snapshot(NAME, corner.place))
        assert (digest_in(corner), digest_in(corner, OWN)) == (needed, newer.digest)
        await done(engine, await engine.upload_image("python", corner.place))
    assert digest_in(corner) == newer.digest
    async with Engine(there) as engine:
        assert (await listed(engine, corner)).problem is None
        await done(engine, await engine.download_snapshot(NAME, corner.place))
    assert (await ImageStore(there).verify("python")).digest == newer.digest


async def test_a_snapshot_of_an_older_image_goes_with_that_and_leaves_the_newer(corner: Corner, host: Host) -> None:
    newer, older, third = host("newer"), host("older"), host("third")
    shared = await make_image(newer, data_mib=1, seed=2)
    async with Engine(newer) as engine:
        await done(engine, await engine.upload_image("python", corner.place))
    needed = await sent_snapshot(corner, older)
    assert (digest_in(corner), digest_in(corner, OWN)) == (shared.digest, needed)
    async with Engine(third) as engine:
        assert (await listed(engine, corner)).problem is None
        await done(engine, await engine.download_snapshot(NAME, corner.place))
    assert (await ImageStore(third).verify("python")).digest == needed
    assert SnapshotStore(third).get(NAME).problem is None
    assert left_behind(third) == []
    async with Engine(newer) as engine:  # where the way out is not that of the shared image
        said = await failed(engine, await engine.download_snapshot(NAME, corner.place))
        assert "vmdeck rootfs rm python" in said


async def test_an_outdated_snapshot_goes_with_its_very_image(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    image = await make_image(here, data_mib=1)
    make_snapshot(here, image)
    newer = await make_image(here, data_mib=1, seed=2)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_snapshot(NAME, corner.place))
        await done(engine, await engine.upload_image("python", corner.place))
    assert (digest_in(corner), digest_in(corner, OWN)) == (newer.digest, image.digest)
    async with Engine(there) as engine:
        await done(engine, await engine.download_snapshot(NAME, corner.place))
    assert (await ImageStore(there).verify("python")).digest == image.digest


async def test_a_snapshot_whose_image_is_nowhere_is_listed_with_that_problem(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    await sent_snapshot(corner, here)
    corner.delete("rootfs-python.manifest.json")
    async with Engine(there) as engine:
        assert "which it needs, is not there" in ((await listed(engine, corner)).problem or "")
        said = await failed(engine, await engine.download_snapshot(NAME, corner.place))
        assert "does not have it" in said
    async with Engine(here) as engine:  # it has the image
        assert (await listed(engine, corner)).problem is None
    assert left_behind(there) == []


async def test_an_image_that_was_built_meanwhile_is_not_replaced_by_that_of_a_snapshot(
    corner: Corner, host: Host
) -> None:
    here, there = host("here"), host("there")
    make_snapshot(here, await make_image(here, data_mib=20))
    async with Engine(here) as engine:
        await done(engine, await engine.upload_snapshot(NAME, corner.place))
    async with Engine(there) as engine:
        corner.gate.hold_after(10 * MIB)
        job = await engine.download_snapshot(NAME, corner.place)
        await corner.gate.held.wait()
        with pytest.raises(ConflictError, match="Download snapshot"):  # builds would wait for it, as this does not
            await engine.remove_image("python")
        built = await make_image(there, data_mib=1, seed=2)
        corner.gate.let_pass()
        assert f"the one here has {built.digest[:12]}" in await failed(engine, job)
    assert [image.digest for image in ImageStore(there).list()] == [built.digest]
    assert left_behind(there) == []


async def test_a_download_has_to_itself_the_image_that_it_finds(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    await make_image(here, data_mib=20)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_image("python", corner.place))
    async with Engine(there) as engine:
        corner.gate.hold_after(10 * MIB)
        job = await engine.download_image("bash", corner.place)  # which that image serves
        await corner.gate.held.wait()
        with pytest.raises(ConflictError, match="Download image bash"):
            await engine.remove_image("python")
        corner.gate.let_pass()
        assert (await done(engine, job)).result == "python"


async def test_transfers_wait_for_each_other_and_no_list_for_them(corner: Corner, host: Host) -> None:
    settings = host("here")
    names = [f"image-{number}" for number in range(TRANSFERS_AT_ONCE + 1)]
    for name in names:
        await make_image(settings, name, data_mib=1)
    async with Engine(settings) as engine:
        corner.gate.hold_after(0)
        jobs = [await engine.upload_image(name, corner.place) for name in names]
        async for event in engine.job_events(jobs[-1].id):
            if event.line == f"waiting: {TRANSFERS_AT_ONCE} other transfers are under way":
                break
        assert await engine.remote_images(corner.open_place) == []
        corner.gate.let_pass()
        for job in jobs:
            await done(engine, job)
        assert [image.name for image in await engine.remote_images(corner.place)] == names
