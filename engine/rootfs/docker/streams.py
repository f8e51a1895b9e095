"""Streams of bytes that are read once: a part of a file, what is packed in it, and its digest on the way."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import InputError, NotReadyError
from engine.rootfs.docker.members import Readable, damaged

_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_PIECE = 1024 * 1024


class Section(io.RawIOBase):
    """Bytes ``start`` to ``start + size`` of an open file, whose own position does not matter."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file.fileno()
        self._at = start
        self._end = start + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] -- see io
        wanted = min(len(buffer), self._end - self._at)
        piece = os.pread(self._file, wanted, self._at)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class Measured:
    """Counts and digests what is read through it; past ``limit`` bytes it refuses to go on.

    ``told`` hears how many bytes were read, at each piece.
    """

    def __init__(self, stream: Readable, limit: int, told: Callable[[int], None] = lambda _read: None) -> None:
        self._stream = stream
        self._limit = limit
        self._told = told
        self._digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size)
        self.size += len(piece)
        if self.size > self._limit:
            raise InputError(
                f"The archive unpacks to more than {self._limit // 1024**3} GiB", remedy="Take an image with less in it"
            )
        self._digest.update(piece)
        self._told(self.size)
        return piece

    def drain(self) -> None:
        """Read what is left."""
        while self.read(_PIECE):
            pass

    @property
    def digest(self) -> str:
        """As ``sha256:`` and hex digits."""
        return f"sha256:{self._digest.hexdigest()}"


@contextmanager
def unpacked(stream: BinaryIO, scratch: Path) -> Generator[Readable]:
    """What ``stream`` holds, gzip and zstd undone; other data as it is. ``scratch`` is a folder for temporary files.

    Unless the block fails it has to read all.
    Raises InputError for damaged data, NotReadyError where zstd is needed and missing.
    """
    start = cast(io.BufferedReader, stream).peek(len(_ZSTD))  # as all that are opened for reading
    try:
        if start.startswith(_GZIP):
            with gzip.GzipFile(fileobj=stream) as content:
                yield content
        elif start.startswith(_ZSTD):
            with _zstd(stream, scratch) as content:
                yield content
        else:
            yield stream
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise damaged(str(error)) from error


@contextmanager
def _zstd(stream: BinaryIO, scratch: Path) -> Generator[Readable]:
    """By the program: the standard library has no decoder for it. It reads a file, so that nobody has to feed it."""
    with tempfile.TemporaryFile(dir=scratch) as packed:
        shutil.copyfileobj(stream, packed)
        packed.seek(0)
        try:
            decoder = subprocess.Popen(["zstd", "-dc"], stdin=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            raise NotReadyError(
                "zstd is needed to unpack this image", remedy="Install it: apt-get install zstd"
            ) from None
        with decoder:
            assert decoder.stdout is not None  # noqa: S101 -- asked for above
            try:
                yield decoder.stdout
            except BaseException:
                decoder.kill()
                raise
            if decoder.wait() != 0:
                raise damaged("zstd can't unpack all of it")
