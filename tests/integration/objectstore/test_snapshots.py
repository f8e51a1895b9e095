"""Snapshots through a real S3 server, to a host that has nothing but a VMM and a guest kernel, where code then runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.settings import Settings
from engine.snapshots.manifest import MANIFEST, MEMORY, STATE
from engine.snapshots.store import SnapshotStore, StoredSnapshot, record
from tests.integration.objectstore.hosts import MIB, Corner, done, failed, left_behind, log_of, make_image
from tests.lab import FOLDER, PREFIX
from tests.running import run_python

pytestmark = pytest.mark.vm
VMDECK = str(Path(sys.executable).with_name("vmdeck"))


@pytest.fixture
def bare(lab: Settings) -> Iterator[Callable[[], Settings]]:
    """Makes other hosts of the same make: kernel and initramfs, no image, no snapshot."""
    with ExitStack() as homes:

        def made() -> Settings:
            home = Path(homes.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER)))
            (home / "data" / "vmm").mkdir(parents=True)
            for part in ("kernels", "guest"):
                (home / "data" / part).symlink_to(lab.data_dir / part)
            return Settings(data_dir=home / "data", runtime_dir=home / "run")

        yield made


@pytest.fixture
def elsewhere(bare: Callable[[], Settings]) -> Settings:
    return bare()


@pytest.fixture
def sent(lab: Settings) -> StoredSnapshot:
    """The snapshot of Python that setup has made."""
    for snapshot in SnapshotStore(lab).all():
        if snapshot.manifest is not None and snapshot.manifest.language == "python":
            return snapshot
    pytest.skip("no snapshot of python (make it: vmdeck setup)")


@pytest.fixture
async def maker(bare: Callable[[], Settings], sent: StoredSnapshot) -> Settings:
    """A host with a small image and a snapshot of it that fits, but for its content: nobody restores it."""
    settings = bare()
    image = await make_image(settings, data_mib=1)
    folder = settings.snapshots_dir / sent.name
    folder.mkdir(parents=True)
    (folder / STATE).write_bytes(b"state" * 1000)
    (folder / MEMORY).write_bytes(os.urandom(MIB))
    assert sent.manifest is not None
    records = {"state": record(folder / STATE), "memory": record(folder / MEMORY)}
    manifest = sent.manifest.model_copy(update={"image_digest": image.digest, **records})
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return settings


async def test_code_runs_from_a_snapshot_that_came_with_its_image(
    corner: Corner, lab: Settings, elsewhere: Settings, sent: StoredSnapshot
) -> None:
    async with Engine(lab) as engine:
        await done(engine, await engine.upload_snapshot(sent.name, corner.place))
        corner.gate.passed = 0
        job = await done(engine, await engine.upload_image("python", corner.place))
        assert "is there already" in await log_of(engine, job)
    assert corner.keys() == {
        "rootfs-python.ext4.zst",
        "rootfs-python.manifest.json",
        *(f"snapshots/{sent.name}/{file}" for file in ("manifest.json", "memory.zst", "state.zst")),
    }
    async with Engine(elsewhere) as engine:
        (listed,) = await engine.remote_snapshots(corner.place)
        assert (listed.name, listed.here, listed.problem) == (sent.name, False, None)
        await done(engine, await engine.download_snapshot(sent.name, corner.place))
        assert (await engine.remote_snapshots(corner.place))[0].here
        result = await run_python(engine, "print(6 * 7)", boot="snapshot")
        assert (result.stdout, result.boot) == ("42\n", "snapshot")
        assert (await engine.verify_snapshot(sent.name)).findings == ()
    came = SnapshotStore(elsewhere).get(sent.name)
    assert came.memory.stat().st_blocks <= sent.memory.stat().st_blocks
    assert left_behind(elsewhere) == []


async def test_a_snapshot_from_another_kind_of_host_is_refused_before_it_comes(
    corner: Corner, maker: Settings, elsewhere: Settings, sent: StoredSnapshot
) -> None:
    async with Engine(maker) as engine:
        await done(engine, await engine.upload_snapshot(sent.name, corner.place))
    key = f"snapshots/{sent.name}/manifest.json"
    manifest = json.loads(corner.read(key))
    manifest["manifest"]["host_cpu"] = "A CPU of another make"
    corner.write(key, json.dumps(manifest).encode())
    async with Engine(elsewhere) as engine:
        (listed,) = await engine.remote_snapshots(corner.place)
        assert "the CPU: A CPU of another make" in (listed.problem or "")
        corner.gate.passed = 0
        said = await failed(engine, await engine.download_snapshot(sent.name, corner.place))
    assert "does not fit this host: it was made with another state of the CPU" in said
    assert corner.gate.passed < MIB
    assert left_behind(elsewhere) == []
    assert not (elsewhere.snapshots_dir / sent.name).exists()


async def test_an_image_that_others_may_need_is_not_replaced_for_a_snapshot(
    corner: Corner, maker: Settings, elsewhere: Settings, sent: StoredSnapshot
) -> None:
    async with Engine(maker) as engine:
        await done(engine, await engine.upload_snapshot(sent.name, corner.place))
    older = await make_image(elsewhere, data_mib=1, seed=2)
    async with Engine(elsewhere) as engine:
        said = await failed(engine, await engine.download_snapshot(sent.name, corner.place))
        assert "the one here has" in said
        assert "vmdeck rootfs download --lang python" in said
        assert [image.digest for image in await engine.images()] == [older.digest]
        await done(engine, await engine.download_image("python", corner.place))
        await done(engine, await engine.download_snapshot(sent.name, corner.place))
        assert [snapshot.problem for snapshot in await engine.snapshots()] == [None]


async def test_a_snapshot_whose_image_is_nowhere_says_so(
    corner: Corner, maker: Settings, elsewhere: Settings, sent: StoredSnapshot
) -> None:
    async with Engine(maker) as engine:
        await done(engine, await engine.upload_snapshot(sent.name, corner.place))
    corner.delete("rootfs-python.manifest.json")
    async with Engine(elsewhere) as engine:
        said = await failed(engine, await engine.download_snapshot(sent.name, corner.place))
    assert "needs image python" in said
    assert left_behind(elsewhere) == []


async def test_damaged_memory_never_becomes_a_snapshot(
    corner: Corner, maker: Settings, elsewhere: Settings, sent: StoredSnapshot
) -> None:
    async with Engine(maker) as engine:
        await done(engine, await engine.upload_snapshot(sent.name, corner.place))
    key = f"snapshots/{sent.name}/memory.zst"
    memory = bytearray(corner.read(key))
    memory[len(memory) // 3] ^= 0x40
    corner.write(key, bytes(memory))
    async with Engine(elsewhere) as engine:
        said = await failed(engine, await engine.download_snapshot(sent.name, corner.place))
        assert "is not what its manifest says" in said
        assert await engine.snapshots() == []
    assert left_behind(elsewhere) == []


def vmdeck(settings: Settings, *args: str, place: Corner, check: bool = True) -> subprocess.CompletedProcess[str]:
    folders = {"VMDECK_DATA_DIR": str(settings.data_dir), "VMDECK_RUNTIME_DIR": str(settings.runtime_dir)}
    to = ("--bucket", "exchange", "--endpoint-url", place.server.url, "--prefix", place.prefix)
    return subprocess.run(
        [VMDECK, *args, *to], env={**os.environ, **folders}, capture_output=True, text=True, timeout=120, check=check
    )


def test_commands_do_the_same_in_processes_of_their_own(
    corner: Corner, maker: Settings, elsewhere: Settings, sent: StoredSnapshot
) -> None:
    assert vmdeck(maker, "snapshot", "upload", "--lang", "python", place=corner).returncode == 0
    (image,) = json.loads(vmdeck(elsewhere, "rootfs", "list", "--remote", "--json", place=corner).stdout)
    assert (image["name"], image["here"]) == ("python", False)
    came = vmdeck(elsewhere, "snapshot", "download", sent.name, "--json", place=corner)
    assert json.loads(came.stdout)["result"] == sent.name
    assert "100 %" in came.stderr
    missing = vmdeck(elsewhere, "rootfs", "download", "--lang", "ruby", place=corner, check=False)
    assert (missing.returncode, "There is no image ruby" in missing.stderr) == (1, True)
