"""The members of a tar stream that nobody vouches for, one after the other.

Python's reader takes what it finds at its word: an extended header of a gigabyte goes to memory, and where a header
is damaged the archive just ends. Both are refused here. Names and places are judged by who writes them (tree.py).
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from tarfile import HeaderError  # the name `tarfile` is taken where it is needed
from typing import Any, BinaryIO, Protocol, Self, cast

from engine.errors import InputError

_HEADER_BYTES = 1024 * 1024  # of one extended header: names and attributes, 64 KiB at most on Linux
_PIECE = 256 * 1024
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class _Seekable(Readable, Protocol):
    def seek(self, position: int, /) -> object: ...


class _Archive(Protocol):
    """What is used of tarfile.TarFile."""

    members: list[tarfile.TarInfo]
    fileobj: _Seekable

    def next(self) -> tarfile.TarInfo | None: ...


class Member(tarfile.TarInfo):
    """A header as it was read. A damaged one is an error, never the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or (member.type in _EXTENDED and member.size > _HEADER_BYTES):
            raise damaged(f"a header that says {member.size} bytes")
        return member

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        before = tarfile.offset
        try:
            member = super().fromtarfile(tarfile)
        except HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the mark of the end
                raise
            raise damaged(str(error)) from None
        if tarfile.offset <= before:  # an extended header can say a size below zero, and lead back for ever
            raise damaged(f"{member.name!r} has {member.size} bytes")
        return member


class Members:
    """Iterates over the members of ``stream``; the content of the last one is read through ``content``.

    With ``seeks`` the stream is a file, and what nobody asks for is not read. Raises InputError for a damaged or cut
    archive.
    """

    def __init__(self, stream: Readable | BinaryIO, *, seeks: bool = False) -> None:
        with _refusals():
            # The stubs know neither this argument list nor all of what is used of the result.
            opened = cast(Any, tarfile.open)(
                fileobj=stream,
                mode="r:" if seeks else "r|",
                bufsize=_PIECE,
                tarinfo=Member,
                encoding="utf-8",
                errors="surrogateescape",  # names that are no text come through
            )
        self._archive = cast(_Archive, opened)

    def __iter__(self) -> Generator[tarfile.TarInfo]:
        while True:
            with _refusals():
                member = self._archive.next()
            if member is None:
                return
            self._archive.members.clear()  # else it keeps them all
            yield member

    def content(self, member: tarfile.TarInfo) -> Generator[tuple[int, bytes]]:
        """Pieces of the file and where in it they are; what lies between is a hole."""
        stream = self._archive.fileobj
        with _refusals():
            stream.seek(member.offset_data)  # the pieces of a sparse file lie there without its holes
            for at, length in _extents(member):
                end = at + length
                while at < end:
                    piece = stream.read(min(_PIECE, end - at))
                    if not piece:
                        raise damaged(f"{member.name!r} is cut short")
                    yield at, piece
                    at += len(piece)


def _extents(member: tarfile.TarInfo) -> list[tuple[int, int]]:
    """Where a file has data. A sparse one brings its own map, in order and within its size, or it is refused."""
    if not member.issparse():
        return [(0, member.size)]
    extents: list[tuple[int, int]] = []
    end = 0
    for start, length in _map(member):
        if start < end or length < 0 or start + length > member.size:
            raise damaged(f"the map of the sparse file {member.name!r} makes no sense")
        end = start + length
        extents.append((start, length))
    return extents


def _map(member: tarfile.TarInfo) -> list[tuple[int, int]]:
    """Pairs of where data begins and how long it is, without those that headers are filled up with."""
    pairs = cast("list[tuple[int, int]]", cast(object, member.sparse))  # the stubs call it bytes
    return [(start, length) for start, length in pairs if length]


def damaged(what: str) -> InputError:
    return InputError(
        f"The archive is damaged or no tar archive: {what}", remedy="Make it anew: docker save, or docker export"
    )


@contextmanager
def _refusals() -> Generator[None]:
    """What the reader raises for archives that are wrong, as one error of ours."""
    try:
        yield
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise damaged(str(error)) from error
    except (MemoryError, RecursionError):
        raise damaged("its headers have no end") from None
