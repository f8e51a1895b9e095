from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engine.errors import ConflictError
from engine.rootfs import package_cache
from engine.rootfs.package_cache import PackageCache
from engine.settings import Settings


@pytest.fixture
async def cache(tmp_path: Path) -> PackageCache:
    cache = PackageCache(Settings(data_dir=tmp_path / "data"))
    async with cache.used():
        return cache


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    """As apt leaves it: whole packages, and parts of one under way."""
    folder = tmp_path / "data" / "tree" / "archives"
    (folder / "partial").mkdir(parents=True)
    for name in ("a_1_amd64.deb", "b_2_all.deb", "partial/c_3_all.deb"):
        (folder / name).write_bytes(b"x" * 8192)
    return folder


def names(cache: PackageCache) -> list[str]:
    return sorted(path.name for path in cache.apt.iterdir())


def test_whole_packages_are_kept_without_taking_more_room(cache: PackageCache, archives: Path) -> None:
    inode = (archives / "a_1_amd64.deb").stat().st_ino
    cache.collect(archives)
    assert names(cache) == ["a_1_amd64.deb", "b_2_all.deb"]
    assert (cache.apt / "a_1_amd64.deb").stat().st_ino == inode


def test_code_that_runs_in_the_tree_later_has_no_file_of_the_cache(cache: PackageCache, archives: Path) -> None:
    (cache.apt / "a_1_amd64.deb").write_bytes(b"first")
    cache.collect(archives)
    assert [path.name for path in archives.iterdir()] == ["partial"]


def test_a_build_that_came_to_no_download_keeps_nothing(cache: PackageCache, tmp_path: Path) -> None:
    cache.collect(tmp_path / "none")
    assert names(cache) == []


def test_what_is_there_already_is_left(cache: PackageCache, archives: Path) -> None:
    (cache.apt / "a_1_amd64.deb").write_bytes(b"y" * 8192)
    cache.collect(archives)
    assert (cache.apt / "a_1_amd64.deb").read_bytes() == b"y" * 8192


def test_one_that_apt_did_not_take_is_replaced(cache: PackageCache, archives: Path) -> None:
    (cache.apt / "a_1_amd64.deb").write_bytes(b"half")
    cache.collect(archives)
    assert (cache.apt / "a_1_amd64.deb").stat().st_size == 8192
    assert names(cache) == ["a_1_amd64.deb", "b_2_all.deb"]


def test_a_package_on_another_file_system_is_copied(
    cache: PackageCache, archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crosses(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", crosses)
    cache.collect(archives)
    assert (cache.apt / "b_2_all.deb").read_bytes() == b"x" * 8192
    assert names(cache) == ["a_1_amd64.deb", "b_2_all.deb"]


def test_only_what_was_unused_for_long_is_removed(cache: PackageCache, archives: Path) -> None:
    cache.collect(archives)
    long_ago = time.time() - package_cache.APT_KEPT_S - 60
    for name in names(cache):
        os.utime(cache.apt / name, (long_ago, long_ago))
    cache.mark_used(["a_1_amd64.deb", "never-seen.deb"])
    assert [each.name for each in cache.leftovers(clear=False)] == ["cache/apt/b_2_all.deb"]
    assert [each.name for each in cache.remove(clear=False)] == ["cache/apt/b_2_all.deb"]
    assert names(cache) == ["a_1_amd64.deb"]


def test_above_the_bound_the_longest_unused_go(
    cache: PackageCache, archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_cache, "APT_KEPT_BYTES", 10_000)
    cache.collect(archives)
    os.utime(cache.apt / "a_1_amd64.deb", (time.time() - 60,) * 2)
    assert [each.name for each in cache.remove(clear=False)] == ["cache/apt/a_1_amd64.deb"]


def test_clearing_removes_all_and_says_how_much(cache: PackageCache, archives: Path) -> None:
    cache.collect(archives)
    (cache.pip / "http").mkdir()
    (cache.pip / "http" / "x").write_bytes(b"x" * 4096)
    removed = {each.name: each.disk_bytes for each in cache.remove(clear=True)}
    assert removed == {"cache/apt": 16384, "cache/pip": 4096}
    assert cache.leftovers(clear=True) == []


async def test_nothing_is_removed_under_a_build(cache: PackageCache, archives: Path) -> None:
    cache.collect(archives)
    async with cache.used():
        with pytest.raises(ConflictError, match="being built"):
            cache.remove(clear=True)
    assert len(names(cache)) == 2


async def test_builds_use_it_together(cache: PackageCache) -> None:
    async with cache.used(), cache.used():
        assert cache.apt.is_dir()


def test_without_a_cache_there_is_nothing_to_remove(tmp_path: Path) -> None:
    cache = PackageCache(Settings(data_dir=tmp_path / "none"))
    assert cache.leftovers(clear=True) == cache.remove(clear=True) == cache.remove(clear=False) == []
