"""Faults of the machines at both ends: a server that is killed, a disk that fills, a key that two write."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from tests.integration.objectstore.hosts import MIB, Corner, done, failed, left_behind, log_of, make_image

Host = Callable[..., Settings]
DISK_MIB = 64


@pytest.fixture
def small_disk(host: Host) -> Iterator[Settings]:
    """A host whose data folder is a disk of DISK_MIB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    settings = host("small")
    settings.data_dir.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "vmdeck-test", str(settings.data_dir)]
    tried = subprocess.run(mount, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no small disk can be mounted: {tried.stderr.strip()}")
    try:
        yield settings
    finally:
        subprocess.run(["umount", str(settings.data_dir)], check=True)


async def shared(corner: Corner, settings: Settings, data_mib: int) -> None:
    await make_image(settings, data_mib=data_mib)
    async with Engine(settings) as engine:
        await done(engine, await engine.upload_image("python", corner.place))


async def test_room_is_asked_for_before_anything_comes(corner: Corner, host: Host, small_disk: Settings) -> None:
    await shared(corner, host("here"), 48)
    older = await make_image(small_disk, data_mib=1, seed=2)
    async with Engine(small_disk) as engine:
        corner.gate.passed = 0
        said = await failed(engine, await engine.download_image("python", corner.place))
    assert "MiB on the disk of" in said
    assert "Free some room" in said
    assert corner.gate.passed < MIB
    assert (await ImageStore(small_disk).verify("python")).digest == older.digest
    assert left_behind(small_disk) == []


async def test_a_disk_that_fills_meanwhile_ends_it_and_the_older_image_stays(
    corner: Corner, host: Host, small_disk: Settings
) -> None:
    await shared(corner, host("here"), 20)
    older = await make_image(small_disk, data_mib=1, seed=2)
    async with Engine(small_disk) as engine:
        corner.gate.hold_after(10 * MIB)
        job = await engine.download_image("python", corner.place)
        await corner.gate.held.wait()
        fill(small_disk.data_dir / "ballast")
        corner.gate.let_pass()
        said = await failed(engine, job)
        assert "No space left on device" in said
        assert "Free some room" in said
        assert (await ImageStore(small_disk).verify("python")).digest == older.digest
        (small_disk.data_dir / "ballast").unlink()
        await done(engine, await engine.download_image("python", corner.place))
    assert left_behind(small_disk) == []


def fill(path: Path) -> None:
    """All of the disk."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))


@pytest.mark.nightly
async def test_transfers_go_on_after_the_server_was_killed_and_started_again(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    image = await make_image(here)
    async with Engine(here) as engine:
        corner.gate.hold_after(42 * MIB)
        job = await engine.upload_image("python", corner.place)
        await corner.gate.held.wait()
        corner.server.kill()
        corner.gate.cut()
        assert "The connection to" in await failed(engine, job)
        corner.server.start()
        before = corner.arrived()
        assert before > 0
        corner.gate.let_pass()
        corner.gate.passed = 0
        await done(engine, await engine.upload_image("python", corner.place))
        assert corner.gate.passed < 48 * MIB - before + MIB
    async with Engine(there) as engine:
        corner.gate.hold_after(30 * MIB)
        job = await engine.download_image("python", corner.place)
        await corner.gate.held.wait()
        corner.server.kill()
        corner.gate.cut()
        await failed(engine, job)
        corner.server.start()
        corner.gate.let_pass()
        corner.gate.passed = 0
        job = await done(engine, await engine.download_image("python", corner.place))
        assert "Going on with a download" in await log_of(engine, job)
        assert corner.gate.passed < 40 * MIB
    assert (await ImageStore(there).verify("python")).digest == image.digest
    assert corner.unfinished() == left_behind(here) == left_behind(there) == []


async def test_an_upload_that_someone_ended_begins_anew(corner: Corner, host: Host) -> None:
    settings = host("here")
    await make_image(settings)
    async with Engine(settings) as engine:
        corner.gate.hold_after(42 * MIB)
        job = await engine.upload_image("python", corner.place)
        await corner.gate.held.wait()
        corner.gate.cut()
        await failed(engine, job)
        corner.abort_all()
        corner.gate.let_pass()
        job = await done(engine, await engine.upload_image("python", corner.place))
        assert "Going on" not in await log_of(engine, job)
    assert corner.unfinished() == left_behind(settings) == []


async def test_a_download_begun_of_another_object_is_not_gone_on_with(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    await shared(corner, here, 24)
    async with Engine(there) as engine:
        corner.gate.hold_after(12 * MIB)
        job = await engine.download_image("python", corner.place)
        await corner.gate.held.wait()
        newer = await make_image(here, data_mib=24, seed=3)
        async with Engine(here) as sender:
            await done(sender, await sender.upload_image("python", corner.open_place))
        corner.gate.let_pass()
        assert "was replaced meanwhile" in await failed(engine, job)
        await done(engine, await engine.download_image("python", corner.place))
    assert (await ImageStore(there).verify("python")).digest == newer.digest


async def test_one_that_breaks_off_for_a_moment_is_not_noticed(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    image = await make_image(here)
    async with Engine(here) as engine:
        corner.gate.hold_after(20 * MIB)
        job = await engine.upload_image("python", corner.place)
        await corner.gate.held.wait()
        corner.gate.cut()
        corner.gate.let_pass()
        await done(engine, job)
    async with Engine(there) as engine:
        await done(engine, await engine.download_image("python", corner.place))
    assert (await ImageStore(there).verify("python")).digest == image.digest
