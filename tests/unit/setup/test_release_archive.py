"""Archives that are no release are refused, whatever they hold; of one that is, two programs are taken."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.setup import release_archive
from engine.setup.release_archive import read_archive, release_contents
from tests.unit.setup.releases import ARCH, VERSION, member_name, members, packed, program

Members = dict[str, "bytes | tarfile.TarInfo"]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def test_two_programs_are_taken_and_nothing_else() -> None:
    found = release_contents(packed(members()), "it")
    assert (found.version, found.arch) == (VERSION, ARCH)
    assert found.programs == {"firecracker": program("firecracker"), "jailer": program("jailer")}


def test_names_that_begin_with_a_dot_and_the_folders_own_entry_are_a_release_too() -> None:
    listed: Members = {"d": entry(f"./release-v{VERSION}-{ARCH}", tarfile.DIRTYPE)}
    listed |= {f"./{name}": data for name, data in members().items()}
    assert release_contents(packed(listed), "it").programs["jailer"] == program("jailer")


SPOILT: dict[str, Callable[[Members], object]] = {
    "no jailer": lambda listed: listed.pop(member_name("jailer")),
    "no firecracker": lambda listed: listed.pop(member_name("firecracker")),
    "an absolute name": lambda listed: listed.update({"/etc/passwd": b"x"}),
    "a name that climbs": lambda listed: listed.update({f"release-v{VERSION}-{ARCH}/../../etc/passwd": b"x"}),
    "a name beside the release": lambda listed: listed.update({"firecracker": b"x"}),
    "a link for a program": lambda listed: listed.update(
        {member_name("jailer"): entry(member_name("jailer"), tarfile.SYMTYPE, "/bin/sh")}
    ),
    "a hard link for a program": lambda listed: listed.update(
        {member_name("jailer"): entry(member_name("jailer"), tarfile.LNKTYPE, member_name("firecracker"))}
    ),
    "a link anywhere": lambda listed: listed.update(
        {"l": entry(f"release-v{VERSION}-{ARCH}/l", tarfile.SYMTYPE, "/etc/passwd")}
    ),
    "a device": lambda listed: listed.update({"d": entry(f"release-v{VERSION}-{ARCH}/d", tarfile.CHRTYPE)}),
    "two releases": lambda listed: listed.update(members("1.16.1")),
    "another program of the same name": lambda listed: listed.update({"again": entry(member_name("jailer"))}),
    "a program too large": lambda listed: listed.update(
        {member_name("jailer"): entry(member_name("jailer"), size=release_archive.MAX_PROGRAM_BYTES + 1)}
    ),
    "too many members": lambda listed: listed.update(
        {f"release-v{VERSION}-{ARCH}/{number}": b"" for number in range(release_archive.MAX_MEMBERS)}
    ),
    "nothing": lambda listed: listed.clear(),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_an_archive_of_another_layout_is_refused(spoilt: str) -> None:
    listed: Members = dict(members())
    SPOILT[spoilt](listed)
    with pytest.raises(NotReadyError) as caught:
        release_contents(packed(listed), "it.tgz")
    assert "it.tgz" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    "data",
    [b"", b"text", gzip.compress(b"text"), gzip.compress(bytes(2000))],
    ids=["empty", "text", "packed text", "packed zeros"],
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(NotReadyError, match=r"it\.tgz"):
        release_contents(data, "it.tgz")


@pytest.mark.parametrize("kept", [10, 100, 200, -20, -4])
def test_an_archive_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(NotReadyError, match=r"it\.tgz"):
        release_contents(packed(members())[:kept], "it.tgz")


def test_a_bomb_is_not_unpacked_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_archive, "MAX_UNPACKED_BYTES", 1_000_000)
    listed: Members = dict(members()) | {"b": entry(f"release-v{VERSION}-{ARCH}/b", size=50_000_000)}
    bomb = packed(listed)
    assert len(bomb) < 100_000
    with pytest.raises(NotReadyError, match="unpacks to more than"):
        release_contents(bomb, "it.tgz")


def test_a_bomb_in_a_header_is_not_unpacked_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_archive, "MAX_UNPACKED_BYTES", 1_000_000)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 20_000_000}):
        pass
    with pytest.raises(NotReadyError, match="unpacks to more than"):
        release_contents(out.getvalue(), "it.tgz")


def test_a_file_too_large_to_be_one_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.tgz"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(NotReadyError, match="larger than any release"):
        read_archive(path, 1_000_000)


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="can't be read"):
        read_archive(tmp_path / "absent.tgz", 1_000_000)
