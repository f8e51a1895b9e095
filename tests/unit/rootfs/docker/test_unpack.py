"""What honest archives hold comes through: names, owners, modes, times, capabilities, and what layers do to others."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.unit.rootfs.docker.conftest import Unpack, seen
from tests.unit.rootfs.docker.tars import Entry, device, file, folder, hard_link, link, tar

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service+ep, linux/capability.h
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


def names(tree: Path) -> list[str]:
    return sorted(seen(tree))


@as_root
def test_owner_mode_and_time_are_kept(unpack: Unpack, tree: Path) -> None:
    unpack(
        tar(
            folder("d", uid=3, gid=4, mtime=1_500_000_000.5),
            file("d/f", mode=0o640, uid=1, gid=2, mtime=1_400_000_000),
            Entry("d/l", tarfile.SYMTYPE, link="f", uid=5, gid=6, mtime=1_300_000_000),
        )
    )
    found = {name: (tree / name).lstat() for name in ("d", "d/f", "d/l")}
    assert {name: (s.st_uid, s.st_gid, s.st_mtime) for name, s in found.items()} == {
        "d": (3, 4, 1_500_000_000.5),
        "d/f": (1, 2, 1_400_000_000),
        "d/l": (5, 6, 1_300_000_000),
    }
    assert (stat.S_IMODE(found["d"].st_mode), stat.S_IMODE(found["d/f"].st_mode)) == (0o755, 0o640)


@as_root
def test_capabilities_of_a_program_are_kept(unpack: Unpack, tree: Path) -> None:
    text = CAPABILITY.decode("utf-8", "surrogateescape")
    unpack(tar(file("ping", mode=0o755, pax={"SCHILY.xattr.security.capability": text})))
    assert os.getxattr(tree / "ping", "security.capability") == CAPABILITY


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("name", ["ü/é", "n" * 255, "/".join(["d" * 200] * 10), "latin-\udce9", "a b\nc\t*", "-rf"])
def test_any_name_that_linux_has_comes_through(unpack: Unpack, tree: Path, name: str, format: int) -> None:
    unpack(tar(file(name), link("link", name), hard_link("again", name), format=format))
    assert (tree / name).read_bytes() == (tree / "again").read_bytes() == b"new"
    assert str((tree / "link").readlink()) == name


@pytest.mark.skipif(shutil.which("tar") is None, reason="no program tar")
@pytest.mark.parametrize("form", ["gnu", "pax 0.0", "pax 0.1", "pax 1.0"])
def test_holes_stay_holes_in_every_form_that_gnu_tar_writes(
    unpack: Unpack, tree: Path, tmp_path_factory: pytest.TempPathFactory, form: str
) -> None:
    home = tmp_path_factory.mktemp("sparse")
    with (home / "file").open("wb") as out:
        for index in range(0, 60, 2):  # more extents than one header holds
            out.seek(index * 65536)
            out.write(bytes([index + 1]) * 4096)
        out.truncate(4 * 1024 * 1024)
    kind, _, version = form.partition(" ")
    how = ["--format", kind, *(["--sparse-version", version] if version else [])]
    packed = subprocess.run(["tar", "-c", "--sparse", *how, "-C", home, "file"], capture_output=True, check=True).stdout
    unpack(packed, whole=True)
    assert len(packed) < 512 * 1024
    assert (tree / "file").read_bytes() == (home / "file").read_bytes()
    assert (tree / "file").stat().st_blocks * 512 < 512 * 1024


def test_a_later_member_of_a_name_takes_the_place_of_the_earlier(unpack: Unpack, tree: Path) -> None:
    unpack(tar(file("x", b"one"), file("x", b"two"), folder("y"), file("y/z"), file("y"), file("z"), folder("z")))
    assert ((tree / "x").read_bytes(), (tree / "y").read_bytes(), (tree / "z").is_dir()) == (b"two", b"new", True)


def test_a_folder_that_comes_again_keeps_what_is_in_it(unpack: Unpack, tree: Path) -> None:
    unpack(tar(folder("d"), file("d/f")), tar(folder("d", uid=7)))
    assert names(tree) == ["d", "d/f"]


def test_pipes_are_kept(unpack: Unpack, tree: Path) -> None:
    unpack(tar(Entry("pipe", tarfile.FIFOTYPE)))
    assert stat.S_ISFIFO((tree / "pipe").lstat().st_mode)


LOWER = tar(folder("d"), file("d/a"), file("d/b"), folder("d/e"), file("d/e/c"), file("other"))


@pytest.mark.parametrize(
    ("layer", "left"),
    [
        ([file("d/.wh.a")], ["d", "d/b", "d/e", "d/e/c", "other"]),
        ([file(".wh.d")], ["other"]),
        ([file("d/.wh..wh..opq")], ["d", "other"]),
        ([file("d/.wh..wh..opq"), file("d/new")], ["d", "d/new", "other"]),
        ([file("d/new"), file("d/e/new"), file("d/.wh..wh..opq")], ["d", "d/e", "d/e/new", "d/new", "other"]),
        ([file("d/a"), file("d/.wh.a")], ["d", "d/a", "d/b", "d/e", "d/e/c", "other"]),
        ([file("d/e/new"), file("d/.wh.e")], ["d", "d/a", "d/b", "d/e", "d/e/new", "other"]),
        ([file(".wh.nothing"), file("no/.wh.where")], ["d", "d/a", "d/b", "d/e", "d/e/c", "other"]),
        ([file(".wh..wh.plnk/1.2"), folder(".wh..wh.aufs")], ["d", "d/a", "d/b", "d/e", "d/e/c", "other"]),
        ([file("d")], ["d", "other"]),
        ([device("other")], ["d", "d/a", "d/b", "d/e", "d/e/c"]),
    ],
    ids=[
        *("a file", "a folder", "all of a folder", "all but what is new", "all, said last", "not what is new"),
        *("a folder, not what is new in it", "nothing", "of aufs", "a file for a folder", "a device for a file"),
    ],
)
def test_a_layer_takes_away_what_it_says(layer: list[Entry], left: list[str], unpack: Unpack, tree: Path) -> None:
    unpack(LOWER, tar(*layer))
    assert names(tree) == left


def test_a_hard_link_reaches_a_file_of_a_layer_below(unpack: Unpack, tree: Path) -> None:
    unpack(LOWER, tar(hard_link("new", "d/a")))
    assert (tree / "new").samefile(tree / "d/a")


def test_a_file_in_the_place_of_a_device_below_can_be_linked(unpack: Unpack, tree: Path) -> None:
    unpack(tar(device("x")), tar(file("x"), hard_link("y", "x")))
    assert (tree / "y").samefile(tree / "x")


def test_in_a_whole_file_system_a_name_that_marks_is_a_name(unpack: Unpack, tree: Path) -> None:
    unpack(tar(file("a"), file(".wh.a")), whole=True)
    assert names(tree) == [".wh.a", "a"]
