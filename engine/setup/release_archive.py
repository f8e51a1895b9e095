"""What is taken out of a release archive of Firecracker: two programs, as bytes, and nothing else.

An archive is read as a stream, bounded in all directions, and never unpacked: names in it decide nothing but whether it
is the archive of a release.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from engine.errors import NotReadyError
from engine.rootfs.regular_file import open_regular

MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_PROGRAM_BYTES = 32 * 1024 * 1024
MAX_MEMBERS = 256
_BLOCK = 1024 * 1024
_REMEDY = "Take firecracker-v<version>-<arch>.tgz as its release site has it"
_MEMBER = re.compile(r"(?:\./)?release-v(?P<version>\d+\.\d+\.\d+)-(?P<arch>\w+)/(?P<path>.+)")


@dataclass(frozen=True, slots=True)
class ReleaseContents:
    """The programs of one release, by the name that they are installed under."""

    version: str
    arch: str
    programs: dict[str, bytes]


def read_archive(path: Path, max_bytes: int) -> bytes:
    """The archive's bytes, which digest and content are then both taken from. Raises NotReadyError."""
    try:
        with open_regular(path) as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise NotReadyError(f"{path} can't be read: {error.strerror}", remedy="Name a file that can be") from None
    if len(data) > max_bytes:
        raise NotReadyError(f"{path} is larger than any release of Firecracker", remedy=_REMEDY)
    return data


def release_contents(archive: bytes, name: str) -> ReleaseContents:
    """The two programs in ``archive``, called ``name`` in errors. Raises NotReadyError for any other layout."""
    found: dict[tuple[str, str], dict[str, bytes]] = {}
    unpacked = _Bounded(gzip.GzipFile(fileobj=io.BytesIO(archive)), MAX_UNPACKED_BYTES)
    try:
        with tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r|") as tar:
            for count, member in enumerate(tar):
                if count >= MAX_MEMBERS:
                    raise _UnfitError(f"it has more than {MAX_MEMBERS} members")
                match = _placed(member)
                release = match["version"], match["arch"]
                programs = found.setdefault(release, {})
                for program in ("firecracker", "jailer"):
                    if match["path"] == f"{program}-v{release[0]}-{release[1]}":
                        if program in programs:
                            raise _UnfitError(f"it has two programs {program}")
                        programs[program] = _content(tar, member)
        while unpacked.read(_BLOCK):
            pass  # to the end, where gzip's own checksum is
    except (_UnfitError, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise NotReadyError(f"{name} is not a release archive of Firecracker: {error}", remedy=_REMEDY) from None
    return _one_release(found, name)


class _UnfitError(Exception):
    """What makes an archive another thing than a release."""


class _Bounded:
    """A reader that ends with an error where there is more to read than may be."""

    def __init__(self, file: gzip.GzipFile, room: int) -> None:
        self._file = file
        self._room = room

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._room + 1))
        self._room -= len(data)
        if self._room < 0:
            raise _UnfitError(f"it unpacks to more than {MAX_UNPACKED_BYTES // 1024 // 1024} MiB")
        return data


def _placed(member: tarfile.TarInfo) -> re.Match[str]:
    """``member``'s place in a release. Raises _UnfitError where no release has such a member."""
    match = _MEMBER.fullmatch(member.name if member.isfile() else f"{member.name}/.")
    if match is None or ".." in match["path"].split("/"):
        raise _UnfitError(f"no release has a member {member.name[:100]!r}")
    if not (member.isfile() or member.isdir()):
        raise _UnfitError(f"its member {member.name[:100]!r} is neither a file nor a folder")
    return match


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_PROGRAM_BYTES:
        raise _UnfitError(f"its member {member.name[:100]!r} is of {member.size} bytes")
    file = tar.extractfile(member)
    data = b"" if file is None else file.read()
    if len(data) != member.size:
        raise _UnfitError(f"its member {member.name[:100]!r} is cut short")
    return data


def _one_release(found: dict[tuple[str, str], dict[str, bytes]], name: str) -> ReleaseContents:
    if len(found) != 1:
        raise NotReadyError(f"{name} is not the archive of one release of Firecracker", remedy=_REMEDY)
    ((version, arch), programs) = next(iter(found.items()))
    if missing := {"firecracker", "jailer"} - programs.keys():
        raise NotReadyError(f"{name} has no {' and no '.join(sorted(missing))} in it", remedy=_REMEDY)
    return ReleaseContents(version, arch, programs)
