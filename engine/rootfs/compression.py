"""Unpacking of what kernels are packed with, told by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import lz4.block  # pyright: ignore[reportMissingTypeStubs] -- it has none

from engine.errors import NotReadyError

_LZ4_LEGACY_BLOCK = 8 * 1024 * 1024
_unpack_lz4_block = cast(Callable[..., bytes], lz4.block.decompress)  # pyright: ignore[reportUnknownMemberType]
_Lz4Error = cast(type[Exception], lz4.block.LZ4BlockError)  # pyright: ignore[reportUnknownMemberType]


@dataclass(frozen=True, slots=True)
class Compression:
    """One format. ``decode`` raises ValueError for damaged data, NotReadyError where a program for it is missing."""

    name: str
    magic: bytes
    decode: Callable[[bytes], bytes]


def detect(data: bytes) -> Compression | None:
    """The format that ``data`` begins as."""
    return next((each for each in COMPRESSIONS if data.startswith(each.magic)), None)


def _lz4_legacy(data: bytes) -> bytes:
    """Legacy frames: a magic, then blocks of up to 8 MiB unpacked, each after its packed length."""
    unpacked = bytearray()
    at = 4
    while at + 4 <= len(data):
        (packed,) = struct.unpack_from("<I", data, at)
        block = data[at + 4 : at + 4 + packed]
        if len(block) != packed:
            raise ValueError("a block is cut short")
        try:
            unpacked += _unpack_lz4_block(block, uncompressed_size=_LZ4_LEGACY_BLOCK)
        except _Lz4Error as error:
            raise ValueError(str(error)) from None
        at += 4 + packed
    return bytes(unpacked)


def _with_library(decode: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def unpack(data: bytes) -> bytes:
        try:
            return decode(data)
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise ValueError(str(error)) from None

    return unpack


def _zstd(data: bytes) -> bytes:
    """By the program: the standard library has no decoder for it."""
    try:
        done = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True)
    except FileNotFoundError:
        raise NotReadyError("zstd is needed to unpack it", remedy="Install it: apt-get install zstd") from None
    except subprocess.CalledProcessError as error:
        raise ValueError(error.stderr.decode(errors="replace").strip()) from None
    return done.stdout


COMPRESSIONS = (
    Compression("lz4", b"\x02\x21\x4c\x18", _lz4_legacy),
    Compression("gzip", b"\x1f\x8b\x08", _with_library(gzip.decompress)),
    Compression("xz", b"\xfd7zXZ\x00", _with_library(lzma.decompress)),
    Compression("lzma", b"\x5d\x00\x00", _with_library(lzma.decompress)),
    Compression("bzip2", b"BZh", _with_library(bz2.decompress)),
    Compression("zstd", b"\x28\xb5\x2f\xfd", _zstd),
)
