"""What the checks make of the data folder: what is in it, its room, and how its files come into jails."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from engine.host import storage, stores
from engine.host.check import run_check
from engine.host.checks import CHECKS
from engine.host.finding import Surroundings, ok
from engine.host.reflink import reflinked
from engine.models import Severity
from engine.settings import Settings
from tests.unit.host.fake_host import surroundings, write

MIB = 1024 * 1024


@pytest.mark.parametrize("check_id", ["kernel", "initramfs", "images"])
async def test_a_missing_artefact_blocks_and_names_its_step(tmp_path: Path, check_id: str) -> None:
    wanted = next(spec for spec in CHECKS if spec.id == check_id)
    around = surroundings(tmp_path)
    found = await run_check(wanted, around)
    assert (found.severity, found.fixed_by) == (Severity.BLOCKED, wanted.fixed_by)
    folder = {
        "kernel": around.settings.kernels_dir,
        "initramfs": around.settings.guest_dir,
        "images": around.settings.images_dir,
    }[check_id]
    manifest(folder, "first", "{}")
    found = await run_check(wanted, around)
    assert (found.severity, found.seen) == (Severity.OK, "first")


def manifest(folder: Path, name: str, text: str) -> None:
    write(folder / name / "manifest.json", text)


async def test_a_broken_manifest_is_named_and_counts_for_nothing(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    images = next(spec for spec in CHECKS if spec.id == "images")
    manifest(around.settings.images_dir, "torn", "{")
    manifest(around.settings.images_dir, ".half-made", "{}")
    found = await run_check(images, around)
    assert (found.severity, found.seen.endswith(": torn")) == (Severity.BLOCKED, True)
    manifest(around.settings.images_dir, "whole", "{}")
    found = await run_check(images, around)
    assert (found.severity, found.seen) == (Severity.DEGRADED, "whole; not readable: torn")


async def test_a_name_that_is_a_digest_is_shown_short(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    manifest(around.settings.guest_dir, "ab12" * 16, "{}")
    found = await run_check(next(spec for spec in CHECKS if spec.id == "initramfs"), around)
    assert found.seen == "ab12ab12ab12"


def test_a_snapshot_of_another_language_is_none_for_python(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    manifest(around.settings.snapshots_dir, "shell", '{"language": "bash"}')
    assert stores.python_snapshot(around).severity is Severity.DEGRADED
    manifest(around.settings.snapshots_dir, "snake", '{"language": "python"}')
    assert stores.python_snapshot(around) == ok("snake")


def test_folders_are_missing_then_there_then_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    around = Surroundings(
        Settings(data_dir=tmp_path / "d", runtime_dir=Path("/run/vmdeck-check")),
        kvm=surroundings(tmp_path).kvm,
        machine="x86_64",
    )
    assert "not made yet" in stores.folders(around).seen
    monkeypatch.setattr("os.access", lambda *_: False)
    found = stores.folders(around)
    assert found.severity is Severity.BLOCKED
    assert "can't be written" in found.seen


def test_a_runtime_folder_too_long_for_sockets_blocks(tmp_path: Path) -> None:
    found = stores.folders(surroundings(tmp_path / ("long" * 30)))
    assert found.severity is Severity.BLOCKED
    assert "too long" in found.seen


@pytest.mark.parametrize(
    ("free_mib", "severity"), [(100, Severity.BLOCKED), (1000, Severity.DEGRADED), (9000, Severity.OK)]
)
def test_disk_room_is_graded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, severity: Severity
) -> None:
    monkeypatch.setattr(storage, "free_bytes", lambda _: free_mib * MIB)
    assert storage.disk_room(surroundings(tmp_path)).severity is severity


# --- into jails


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images and jails on two file systems."""
    monkeypatch.setattr(storage, "_on_one_file_system", lambda *_: False)


@pytest.mark.parametrize(("can", "word"), [(True, "yes"), (False, "no")])
def test_on_one_file_system_links_do_and_reflinks_are_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: bool, word: str
) -> None:
    monkeypatch.setattr(storage, "reflinked", lambda *_: can)
    found = storage.into_jails(surroundings(tmp_path))
    assert found == ok(f"by hard links, on one file system; reflinks: {word}")


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(("can", "severity"), [(True, Severity.OK), (False, Severity.DEGRADED)])
def test_between_file_systems_only_reflinks_save_a_copy_for_each_vm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: bool, severity: Severity
) -> None:
    monkeypatch.setattr(storage, "reflinked", lambda *_: can)
    found = storage.into_jails(surroundings(tmp_path))
    assert found.severity is severity
    assert ("copies" in found.seen) == (not can)


def test_a_data_folder_of_another_user_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/the/data")

    monkeypatch.setattr(storage, "TemporaryFile", refused)
    found = storage.into_jails(surroundings(tmp_path))
    assert (found.severity, "/the/data" in found.seen) == (Severity.INFO, True)


@pytest.mark.parametrize("fault", [None, errno.EOPNOTSUPP, errno.EIO])
def test_the_trial_of_reflinks_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int | None
) -> None:
    def ioctl(*_: object) -> int:
        if fault is not None:
            raise OSError(fault, os.strerror(fault))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    around = surroundings(tmp_path)
    around.settings.data_dir.mkdir()
    if fault == errno.EIO:
        with pytest.raises(OSError, match="Input/output"):
            storage.into_jails(around)
    else:
        assert storage.into_jails(around).seen.endswith("reflinks: yes" if fault is None else "reflinks: no")
    assert list(tmp_path.rglob("*")) == [around.settings.data_dir]


def test_a_reflink_is_made_or_refused_by_the_kernel_itself(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 8192)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        shared = reflinked(source.fileno(), target.fileno())
    assert (tmp_path / "target").stat().st_size == (8192 if shared else 0)
