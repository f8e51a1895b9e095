from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from engine.rootfs.ext4_times import clamp_times
from engine.rootfs.filesystem import make_ext4
from engine.rootfs.sameness import epoch, varying
from engine.rootfs.staging import sha256_file

PACKAGED = 1_600_000_000
BEGAN = 1_700_000_000.0
SYSTEM_PATH = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def make_tree(folder: Path, built_at: int, *, backwards: bool) -> Path:
    """One file from a package and one that the build wrote."""
    folder.mkdir()
    files = {"packaged": PACKAGED, "written": built_at, "sub/also": built_at}
    (folder / "sub").mkdir()
    for name in sorted(files, reverse=backwards):
        (folder / name).write_text(name)
    for name, time in files.items():
        os.utime(folder / name, (built_at, time))
    os.utime(folder / "sub", (built_at, built_at))
    os.utime(folder, (built_at, built_at))
    return folder


def output_of(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, check=True, text=True, env=SYSTEM_PATH).stdout


async def image_of(tree: Path) -> Path:
    image = tree.with_suffix(".ext4")
    await make_ext4(tree, image, name="same", epoch_s=epoch(tree, BEGAN))
    return image


@pytest.mark.parametrize("epoch_of_environment", [None, "1650000000"])
async def test_trees_that_differ_in_the_time_of_their_building_give_the_same_image(
    epoch_of_environment: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if epoch_of_environment:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch_of_environment)
    first = await image_of(make_tree(tmp_path / "first", 1_700_000_100, backwards=False))
    second = await image_of(make_tree(tmp_path / "second", 1_800_000_000, backwards=True))
    assert sha256_file(first) == sha256_file(second)


async def test_an_image_with_times_set_is_sound_and_keeps_those_of_packages(tmp_path: Path) -> None:
    image = await image_of(make_tree(tmp_path / "tree", 1_800_000_000, backwards=False))
    output_of("e2fsck", "-fn", str(image))
    assert output_of("debugfs", "-R", "stat /written", str(image)).count(f"0x{PACKAGED:08x}") == 4
    assert f"mtime: 0x{PACKAGED:08x}" in output_of("debugfs", "-R", "stat /packaged", str(image))


async def test_times_before_the_epoch_stay(tmp_path: Path) -> None:
    image = await image_of(make_tree(tmp_path / "tree", 1_800_000_000, backwards=False))
    before = sha256_file(image)
    clamp_times(image, PACKAGED)
    assert sha256_file(image) == before


def test_the_epoch_is_that_of_the_newest_packaged_file(tmp_path: Path) -> None:
    assert epoch(make_tree(tmp_path / "tree", 1_800_000_000, backwards=False), BEGAN) == PACKAGED


def test_what_may_differ_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc/ssl/certs/java").mkdir(parents=True)
    (tmp_path / "etc/ssl/certs/java/cacerts").touch()
    assert [line.split(":")[0] for line in varying(tmp_path, False)] == ["/etc/ssl/certs/java/cacerts"]
    assert len(varying(tmp_path, True)) == 2
    assert varying(tmp_path / "etc/ssl/certs", False) == ()
