"""Content of a file as it travels: zstd, in frames of 4 MiB of content each, which any zstd program unpacks.

Holes are not read, and whole frames of them are not compressed either; unpacked, blocks of zeros become holes again.
The same content gives the same bytes, so that an interrupted upload is gone on with by packing it again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard
from pydantic import Field

from engine.errors import NotReadyError
from engine.host.sparse import BLOCK, data_bytes, data_ranges, write_blocks
from engine.models import Value
from engine.objectstore.stop import Stop
from engine.objectstore.tally import Tally

MAX_CONTENT_BYTES = 64 * 1024**3
"""Of one file: more than any image or guest memory that can be made here."""
PART_BYTES = 8 * 1024 * 1024
"""At least, but for the last one: S3 takes parts of 5 MiB or more, and 10,000 of them."""
SHA256 = r"^[0-9a-f]{64}$"
_FRAME = 4 * 1024 * 1024
_ZEROS = bytes(_FRAME)
_LEVEL = 3
_WINDOW = 8 * 1024 * 1024


class PackedFile(Value):
    """A file's content and what it was packed to."""

    sha256: str = Field(pattern=SHA256)
    size_bytes: int = Field(ge=0, le=MAX_CONTENT_BYTES)
    data_bytes: int = Field(ge=0, le=MAX_CONTENT_BYTES, description="without blocks of zeros: what it takes on disk")
    packed_sha256: str = Field(pattern=SHA256)
    packed_bytes: int = Field(ge=1, le=MAX_CONTENT_BYTES + MAX_CONTENT_BYTES // 64)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the packed bytes, with where the content ends that it holds."""

    number: int
    data: bytes
    content_end: int


class Packer:
    """Packs one open file, once: first ``parts``, to the end, then ``packed``. May raise OSError."""

    def __init__(self, file: BinaryIO, stop: Stop) -> None:
        self._fd = file.fileno()
        self._stop = stop
        self.size = os.fstat(self._fd).st_size
        self._content, self._packed = hashlib.sha256(), hashlib.sha256()
        self._data_bytes = self._packed_bytes = 0

    def parts(self) -> Iterator[Part]:
        """At least one."""
        number, waiting, end = 1, bytearray(), 0
        for frame, end in self._frames():
            waiting += frame
            if len(waiting) >= PART_BYTES:
                yield self._part(number, waiting, end)
                number, waiting = number + 1, bytearray()
        if waiting or number == 1:
            yield self._part(number, waiting, end)

    def packed(self) -> PackedFile:
        return PackedFile(
            sha256=self._content.hexdigest(),
            size_bytes=self.size,
            data_bytes=self._data_bytes,
            packed_sha256=self._packed.hexdigest(),
            packed_bytes=self._packed_bytes,
        )

    def _part(self, number: int, data: bytearray, end: int) -> Part:
        part = Part(number, bytes(data), end)
        self._packed.update(part.data)
        self._packed_bytes += len(part.data)
        return part

    def _frames(self) -> Iterator[tuple[bytes, int]]:
        compressor = zstandard.ZstdCompressor(level=_LEVEL)
        empty = compressor.compress(_ZEROS)
        ranges = data_ranges(self._fd, self.size)
        for start in range(0, max(1, self.size), _FRAME):
            self._stop.check()
            end = min(start + _FRAME, self.size)
            while ranges and ranges[0][1] <= start:
                ranges.pop(0)
            if end - start == _FRAME and (not ranges or ranges[0][0] >= end):
                self._content.update(_ZEROS)
                yield empty, end
                continue
            content = self._read(start, end, ranges)
            self._content.update(content)
            self._data_bytes += data_bytes(content)
            yield compressor.compress(content), end

    def _read(self, start: int, end: int, ranges: list[tuple[int, int]]) -> bytes:
        content = bytearray(end - start)
        for data_start, data_end in ranges:
            at, until = max(start, data_start), min(end, data_end)
            if at >= end:
                break
            while at < until:
                piece = os.pread(self._fd, until - at, at)
                if not piece:
                    raise NotReadyError("A file became shorter while it was read", remedy="Start it again")
                content[at - start : at - start + len(piece)] = piece
                at += len(piece)
        return bytes(content)


def unpack(packed: Path, out: Path, file: PackedFile, mode: int, stop: Stop, tally: Tally) -> str | None:
    """Write the content of ``packed`` to the new file ``out``. Returns what is wrong with it, None where it is right.

    No more is written than ``file`` says and a MiB, whatever ``packed`` holds. Raises OSError.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    digest = hashlib.sha256()
    size = written = 0
    fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with packed.open("rb") as source, decompressor.stream_reader(source, read_across_frames=True) as reader:
            while piece := _whole_blocks(reader):
                stop.check()
                digest.update(piece)
                if size + len(piece) > file.size_bytes:
                    return f"it unpacks to more than the {file.size_bytes} bytes of its manifest"
                written += write_blocks(fd, piece, size)
                if written > file.data_bytes:
                    return f"it holds more data than the {file.data_bytes} bytes of its manifest"
                size += len(piece)
                tally.did(len(piece))
        os.ftruncate(fd, size)
    except zstandard.ZstdError as error:
        return f"it can't be unpacked: {error}"
    finally:
        os.close(fd)
    if size != file.size_bytes:
        return f"it unpacks to {size} bytes, not to {file.size_bytes}"
    if digest.hexdigest() != file.sha256:
        return f"the SHA-256 of its content is {digest.hexdigest()}, not {file.sha256}"
    return None


def _whole_blocks(reader: zstandard.ZstdDecompressionReader) -> bytes:
    """The next 1 MiB, less only at the end, so that the next piece begins with a block."""
    wanted = 256 * BLOCK
    found = bytearray()
    while len(found) < wanted and (piece := reader.read(wanted - len(found))):
        found += piece
    return bytes(found)
