"""Snapshots that are not what was written, or that can not be written: refused by name, nothing half done left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import ConflictError, NotFoundError, NotReadyError, SnapshotMismatchError
from engine.models import CreateSnapshotRequest, JobState, RunRequest
from engine.settings import Settings
from tests.lab import FOLDER, PREFIX
from tests.running import run_python

pytestmark = pytest.mark.vm
NAME = "python-256m-1c"
_STAYS = "print('up', flush=True)\nwhile True: pass"


@pytest.fixture
def snapshot(lab: Settings) -> Path:
    """A snapshot of the test's own to damage: the lab's are links to those that all tests share."""
    folder = lab.snapshots_dir / NAME
    source = folder.resolve()
    if not (source / "manifest.json").is_file():
        pytest.skip(f"no snapshot {NAME} (make it: vmdeck setup)")
    folder.unlink()
    # As a user would copy it: sparse, other inodes and times, so its digests have to prove it.
    subprocess.run(["cp", "-r", "--sparse=always", source, folder], check=True)
    return folder


def truncate_memory(folder: Path) -> None:
    os.truncate(folder / "memory", 4096)


def truncate_state(folder: Path) -> None:
    os.truncate(folder / "state", 100)


def remove_memory(folder: Path) -> None:
    (folder / "memory").unlink()


def spoil_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def change_manifest(field: str, value: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, field: value}))

    return change


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "memory cut short": (truncate_memory, "memory has 4096 bytes"),
    "state cut short": (truncate_state, "state has 100 bytes"),
    "memory gone": (remove_memory, "memory can't be read"),
    "manifest spoilt": (spoil_manifest, "manifest"),
    "other format": (change_manifest("format", "1"), "format"),
    "other image": (change_manifest("image_digest", "0" * 64), "image"),
    "other kernel": (change_manifest("kernel_sha256", "0" * 64), "kernel"),
    "other initramfs": (change_manifest("initramfs_digest", "0" * 64), "initramfs"),
    "other VMM version": (change_manifest("vmm_version", "1.2.3"), "1.2.3"),
    "other accelerator": (change_manifest("accelerator", "kvm"), "accelerator"),
    "other CPU": (change_manifest("host_cpu", "Some Other CPU"), "Some Other CPU"),
    "other protocol": (change_manifest("protocol_version", "999"), "protocol"),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGE.values(), ids=DAMAGE.keys())
async def test_a_snapshot_that_does_not_fit_is_refused_with_the_reason(
    lab: Settings, snapshot: Path, damage: Callable[[Path], None], named: str
) -> None:
    damage(snapshot)
    async with Engine(lab) as engine:
        (listed,) = [each for each in await engine.snapshots() if each.name == NAME]
        assert not listed.fits
        assert named in (listed.problem or "")
        with pytest.raises(SnapshotMismatchError, match=named):
            await run_python(engine, "print(1)", snapshot=NAME)
        assert not await engine.vms()
    assert not list(lab.vms_dir.glob("*"))


async def test_a_flipped_byte_is_found_before_the_snapshot_is_restored(lab: Settings, snapshot: Path) -> None:
    with (snapshot / "memory").open("r+b") as file:
        file.seek(20 * 1024 * 1024)
        byte = file.read(1)
        file.seek(20 * 1024 * 1024)
        file.write(bytes([byte[0] ^ 1]))
    async with Engine(lab) as engine:
        verification = await engine.verify_snapshot(NAME)
        assert not verification.ok
        assert "memory" in verification.findings[0]
        with pytest.raises(SnapshotMismatchError, match="memory has changed"):
            await run_python(engine, "print(1)", snapshot=NAME)


async def test_a_whole_copy_is_proven_by_its_digests_and_runs(lab: Settings, snapshot: Path) -> None:
    async with Engine(lab) as engine:
        assert (await run_python(engine, "print('same')", snapshot=NAME)).stdout == "same\n"
        assert (await engine.verify_snapshot(NAME)).ok


async def test_without_a_fitting_snapshot_a_run_boots_cold_and_says_why(lab: Settings, snapshot: Path) -> None:
    truncate_memory(snapshot)
    async with Engine(lab) as engine:
        result = await run_python(engine, "print(1)")
    assert (result.boot, result.stdout) == ("cold", "1\n")
    assert "4096 bytes" in result.boot_reason


async def test_a_snapshot_in_use_stays_and_goes_afterwards(lab: Settings, snapshot: Path) -> None:
    async with Engine(lab) as engine:
        events = engine.stream(RunRequest(language="python", code=_STAYS, snapshot=NAME, timeout=60))
        async for event in events:
            if event.kind == "stdout":
                with pytest.raises(ConflictError, match=NAME):
                    await engine.remove_snapshot(NAME)
                break
        await events.aclose()
        assert (snapshot / "memory").exists()
        await engine.remove_snapshot(NAME)
        with pytest.raises(NotFoundError):
            await engine.remove_snapshot(NAME)
    assert list(lab.snapshots_dir.iterdir()) == []


@pytest.fixture
def small_disk(lab: Settings) -> Iterator[Settings]:
    """A lab whose snapshots lie on a file system with room for half of one."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", name], check=True)
        try:
            shutil.rmtree(lab.snapshots_dir)
            lab.snapshots_dir.symlink_to(name)
            yield lab
        finally:
            subprocess.run(["umount", name], check=True)


async def test_a_full_disk_is_named_and_nothing_half_written_stays(small_disk: Settings) -> None:
    async with Engine(small_disk) as engine:
        job = await engine.create_snapshot(CreateSnapshotRequest(language="python"))
        async for event in engine.job_events(job.id):
            job = event.job
        assert job.state is JobState.FAILED
        assert "No space left" in (job.error or "")
        assert "room" in (job.remedy or "")
        assert not await engine.vms()
    assert list(small_disk.snapshots_dir.iterdir()) == []


@pytest.mark.qemu
async def test_without_qemu_the_remedy_is_setup(lab: Settings) -> None:
    settings = lab.model_copy(update={"qemu_binary": "/nonexistent/qemu-system-x86_64"})
    async with Engine(settings) as engine:
        assert (await engine.health()).status == "blocked"
        with pytest.raises(NotReadyError, match="/nonexistent/qemu-system-x86_64"):
            await run_python(engine, "print(1)")


async def test_an_image_cut_short_is_refused_by_name(lab: Settings) -> None:
    images = lab.images_dir.resolve()
    lab.images_dir.unlink()
    shutil.copytree(images / "python", lab.images_dir / "python")
    os.truncate(lab.images_dir / "python" / "rootfs.ext4", 1024 * 1024)
    async with Engine(lab) as engine:
        with pytest.raises(NotReadyError, match="image python"):
            await run_python(engine, "print(1)")
