"""Archives that try to reach out of the tree, or to cost without bound. Each is refused, or does no harm."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.rootfs.docker.tree import MAX_DEPTH, Tree
from engine.rootfs.docker.unpack import Bounds, Unpacker
from tests.unit.rootfs.docker.conftest import SMALL, Unpack, seen
from tests.unit.rootfs.docker.tars import Entry, device, file, folder, hard_link, link, tar

OUT = "../outside"
REFUSED = {
    "a path upwards": [file(f"{OUT}/secret")],
    "a path down and upwards": [folder("a"), file("a/../../outside/secret")],
    "a folder upwards": [folder(OUT)],
    "a link upwards": [link(f"{OUT}/new", "secret")],
    "through a link": [link("way", OUT), file("way/secret")],
    "through an absolute link": [link("way", "/"), file("way/etc/vmdeck-evil")],
    "through a link in a link": [link("one", "two"), link("two", OUT), file("one/secret")],
    "through a link to the tree itself": [link("way", "."), file("way/file")],
    "a folder through a link": [link("way", OUT), folder("way/inner")],
    "a link through a link": [link("way", OUT), link("way/new", "secret")],
    "a pipe through a link": [link("way", OUT), Entry("way/pipe", tarfile.FIFOTYPE)],
    "below a file": [file("a"), file("a/b")],
    "a hard link upwards": [hard_link("mine", f"{OUT}/secret")],
    "a hard link by an absolute path": [hard_link("mine", "/etc/passwd")],
    "a hard link through a link": [link("way", OUT), hard_link("mine", "way/secret")],
    "a hard link at the end of a link": [link("way", OUT), file("x"), hard_link("way/mine", "x")],
    "a hard link to nothing": [hard_link("mine", "nothing")],
    "a hard link to a folder": [folder("a"), hard_link("mine", "a")],
    "a hard link to itself": [file("mine"), hard_link("mine", "mine")],
    "a hard link to what it takes the place of": [folder("a"), file("a/b"), hard_link("a", "a/b")],
    "the root as a file": [file(".")],
    "the root as a device": [device("/")],
    "the root as a link": [link("./", OUT)],
    "a zero byte in a name": [file("x", pax={"path": "a\0b"})],
    "a zero byte in a link": [Entry("x", tarfile.SYMTYPE, link="y", pax={"linkpath": "a\0b"})],
    "a link to nothing": [Entry("x", tarfile.SYMTYPE, link="")],
    "a name of 256 bytes": [file("x" * 256)],
    "too deep": [file("/".join("d" * (MAX_DEPTH + 1)))],
    "a path as long as Linux has none": [file("/".join(["d" * 200] * 21))],
    "an owner below zero": [file("x", uid=-2)],
    "an owner that no kernel has": [file("x", uid=2**32)],
    "a group that means to leave it": [file("x", gid=2**32 - 1)],
    "a file larger than is allowed": [file("x", pax={"size": str(SMALL.file_bytes + 1)})],
    "a size below zero": [file("x", pax={"size": "-1536"})],
    "a size that is no number": [file("x", pax={"size": "many"})],
    "files that are too many": [file(f"f{number}") for number in range(SMALL.members + 1)],
    "files too large together": [file(f"f{number}", b"\0" * 1024 * 1024) for number in range(9)],
    "a mark that takes the folder above away": [file(".wh...")],
    "a mark that takes its own folder away": [file("a/.wh..")],
    "a mark of no name": [file(".wh.")],
    "a folder called as a mark": [file(".wh.a/b")],
    "a mark through a link": [link("way", OUT), file("way/.wh.secret")],
    "a mark for all through a link": [link("way", OUT), file("way/.wh..wh..opq")],
    "a mark upwards": [file(f"{OUT}/.wh.secret")],
}


@pytest.mark.parametrize("entries", REFUSED.values(), ids=REFUSED)
def test_is_refused_with_a_reason(entries: list[Entry], unpack: Unpack, tree: Path) -> None:
    with pytest.raises(InputError) as caught:
        unpack(tar(*entries))
    assert caught.value.remedy


def test_an_absolute_path_begins_at_the_tree(unpack: Unpack, tree: Path) -> None:
    unpack(tar(file("/etc/vmdeck-evil"), file("//double")))
    assert (tree / "etc/vmdeck-evil").read_bytes() == (tree / "double").read_bytes() == b"new"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "../outside/secret", "\udcff"])
def test_a_link_out_of_the_tree_is_kept_and_not_followed(unpack: Unpack, tree: Path, target: str) -> None:
    """It means something in the guest only. A file of its name takes its place, nothing is written through it."""
    unpack(tar(link("way", target), link("kept", target), file("way"), hard_link("too", "kept")))
    assert (tree / "way").read_bytes() == b"new"
    assert str((tree / "kept").readlink()) == str((tree / "too").readlink()) == target


def test_a_folder_takes_the_place_of_a_link(unpack: Unpack, tree: Path) -> None:
    unpack(tar(link("way", OUT)), tar(folder("way"), file("way/secret")))
    assert not (tree / "way").is_symlink()
    assert (tree / "way/secret").read_bytes() == b"new"


def test_a_hard_linked_file_is_not_written_through(unpack: Unpack, tree: Path) -> None:
    unpack(tar(file("one", b"old"), hard_link("two", "one"), file("two", b"new")))
    assert ((tree / "one").read_bytes(), (tree / "two").read_bytes()) == (b"old", b"new")


def test_devices_and_their_further_names_are_left_out(unpack: Unpack, tree: Path) -> None:
    block = Entry("dev/disk", tarfile.BLKTYPE)
    lost = unpack(tar(device("dev/mem"), block, hard_link("mem", "dev/mem"), file("disk"), device("disk"), file("x")))
    assert sorted(seen(tree)) == ["x"]
    assert lost == {"device nodes": 4}


def test_setuid_is_for_files_of_root_only(unpack: Unpack, tree: Path) -> None:
    unpack(tar(file("su", mode=0o4755), file("odd", mode=0o6755, uid=12), file("plain", mode=0o755, uid=12)))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tree.iterdir()}
    assert modes == {"su": 0o4755, "odd": 0o755, "plain": 0o755}


def test_an_own_lost_and_found_is_left_out(unpack: Unpack, tree: Path) -> None:
    """mke2fs makes one itself, and ends on another."""
    unpack(tar(file("lost+found"), file("a/lost+found")))
    assert sorted(seen(tree)) == ["a", "a/lost+found"]


@pytest.mark.parametrize("mtime", ["nan", "inf", "-inf", "-5", "1e300", "soon"])
def test_times_that_no_file_system_has_are_brought_near(unpack: Unpack, tree: Path, mtime: str) -> None:
    unpack(tar(file("x", pax={"mtime": mtime}), folder("d", pax={"mtime": mtime})))
    assert 0 <= (tree / "x").stat().st_mtime <= 2**33


def test_a_sparse_file_costs_no_more_than_its_data(unpack: Unpack, tree: Path) -> None:
    unpack(sparse_tar([(0, 512), (4 * 1024 * 1024, 512)], size=6 * 1024 * 1024, data=b"a" * 512 + b"b" * 512))
    found = tree / "sparse"
    assert (found.stat().st_size, found.stat().st_blocks * 512 < 64 * 1024) == (6 * 1024 * 1024, True)
    content = found.read_bytes()
    assert (content[:512], content[4 * 1024 * 1024 :][:512]) == (b"a" * 512, b"b" * 512)
    assert content.count(b"\0") == len(content) - 1024


@pytest.mark.parametrize(
    ("extents", "size"),
    [
        ([(0, 512)], 2**60),
        ([(1024, 512), (0, 512)], 2048),
        ([(0, 512), (256, 512)], 2048),
        ([(0, 4096)], 1024),
        ([(0, 1024 * 1024)], 2 * 1024 * 1024),
    ],
    ids=["huge", "backwards", "overlapping", "past its end", "more than there is"],
)
def test_the_map_of_a_sparse_file_is_not_believed(unpack: Unpack, extents: list[tuple[int, int]], size: int) -> None:
    with pytest.raises(InputError):
        unpack(sparse_tar(extents, size, b"x" * 1024))


def test_an_endless_header_is_not_read(tree: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 33
    endless = Endless(header.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(InputError, match="8589934592"):
        unpack_stream(endless, tree)
    assert endless.read_bytes < 1024 * 1024


def test_headers_of_headers_come_to_an_end(unpack: Unpack) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
    one = header.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0")
    with pytest.raises(InputError, match="no end"):
        unpack(one * 5000 + tar(file("x")))


@pytest.mark.parametrize("left", [1, 511, 512, 600, 1024, 1500])
def test_a_cut_archive_is_damaged_wherever_it_ends(unpack: Unpack, left: int) -> None:
    whole = tar(file("one", b"x" * 600), format=tarfile.GNU_FORMAT)
    with pytest.raises(InputError, match="damaged"):
        unpack(whole[:left])


def test_a_damaged_header_is_not_taken_for_the_end(unpack: Unpack) -> None:
    content = bytearray(tar(file("one"), file("two"), format=tarfile.GNU_FORMAT))
    content[1024 + 5] ^= 0xFF
    with pytest.raises(InputError, match="damaged"):
        unpack(bytes(content))


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"no tar at all" * 100, os.urandom(4096)])
def test_what_is_no_archive_is_said_to_be_none(unpack: Unpack, content: bytes) -> None:
    with pytest.raises(InputError):
        unpack(content)


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh..wh..opq", "way"]), min_size=1, max_size=4)
PATHS = NAMES.map("/".join)
TYPES = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
ENTRIES = st.builds(
    lambda name, kind, target: Entry(name, kind, b"new" if kind == tarfile.REGTYPE else b"", target),
    PATHS,
    TYPES,
    PATHS | st.sampled_from(["/", OUT, "../../outside/inner", f"/tmp/{OUT}"]),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(layers=st.lists(st.lists(ENTRIES, max_size=8), min_size=1, max_size=3))
def test_no_archive_at_all_reaches_out(layers: list[list[Entry]], tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "tree").mkdir()
    (home / "outside" / "inner").mkdir(parents=True)
    (home / "outside" / "secret").write_text("secret")
    before = seen(home / "outside")
    with Tree(home / "tree") as tree:
        unpacker = Unpacker(tree, SMALL)
        try:
            for layer in layers:
                unpacker.layer(io.BytesIO(tar(*layer)))
        except InputError:
            pass
    assert seen(home / "outside") == before
    assert sorted(path.name for path in home.iterdir()) == ["outside", "tree"]


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "4096"}
SOUND = {
    "pax": lambda: tar(file("n" * 200, pax={"SCHILY.xattr.user.x": "x"}), link("l", "t" * 200), hard_link("h", "l")),
    "gnu": lambda: tar(folder("d"), file("d/f", b"x" * 700), file("long/" * 30, b"y"), format=tarfile.GNU_FORMAT),
    "sparse pax": lambda: tar(file("s", b"2\n0\n512\n1024\n512\n".ljust(512, b"\0") + b"x" * 1024, pax=SPARSE)),
    "sparse gnu": lambda: sparse_tar([(0, 512), (1024, 512)], 4096, b"x" * 1024),
}
CHANGES = st.lists(st.tuples(st.integers(0, 511 * 8), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=CHANGES, sums=st.booleans(), kind=st.sampled_from(sorted(SOUND)))
def test_a_damaged_archive_is_refused_or_read_and_never_a_fault(
    changes: list[tuple[int, bytes]], sums: bool, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(SOUND[kind]())
    for at, piece in changes:
        content[at : at + len(piece)] = piece
    if sums:
        for at in range(0, len(content) - 511, 512):
            content[at + 148 : at + 156] = b" " * 8
            content[at + 148 : at + 156] = f"{sum(content[at : at + 512]):06o}\0 ".encode()
    home = tmp_path_factory.mktemp("home")
    with contextlib.suppress(InputError), Tree(home) as tree:
        Unpacker(tree, SMALL).whole(io.BytesIO(bytes(content)))


class Endless:
    """A header, then zeros for ever."""

    def __init__(self, start: bytes) -> None:
        self._start = start
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._start.ljust(size, b"\0")[:size]
        self._start = self._start[size:]
        self.read_bytes += len(piece)
        return piece


def unpack_stream(stream: Endless, into: Path) -> None:
    with Tree(into) as tree:
        Unpacker(tree, Bounds()).whole(stream)


def sparse_tar(extents: list[tuple[int, int]], size: int, data: bytes) -> bytes:
    """One file "sparse" in GNU's old format, whose header has up to four extents."""
    header = bytearray(tarfile.TarInfo("sparse").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = f"{len(data):011o}\0".encode()
    header[156:157] = tarfile.GNUTYPE_SPARSE
    for index, (start, length) in enumerate(extents):
        struct.pack_into("12s12s", header, 386 + 24 * index, number(start), number(length))
    header[483:495] = number(size)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    return bytes(header) + data.ljust(-(-len(data) // 512) * 512, b"\0") + b"\0" * 1024


def number(value: int) -> bytes:
    """As tar has numbers: octal, or binary where that has no room."""
    return f"{value:011o}\0".encode() if value < 8**11 else b"\x80" + value.to_bytes(11, "big")
