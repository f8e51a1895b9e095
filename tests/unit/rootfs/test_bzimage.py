from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
from collections.abc import Callable

import lz4.block
import pytest

from engine.errors import NotReadyError
from engine.rootfs.bzimage import HEADER_BYTES, begins_as_kernel, extract_kernel

KERNEL = b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 300


def lz4_legacy(data: bytes) -> bytes:
    block = lz4.block.compress(data, store_size=False)
    return b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block


def bzimage(payload: bytes, *, setup_sectors: int = 3) -> bytes:
    """An image whose header names ``payload`` at offset 16 behind the setup sectors."""
    image = bytearray((setup_sectors + 1) * 512 + 16) + payload + b"tail"
    image[0x1F1] = setup_sectors
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 16, len(payload))
    return bytes(image)


def with_size(packed: bytes, size: int = len(KERNEL)) -> bytes:
    return packed + struct.pack("<I", size)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4_legacy,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("name", PACKERS)
def test_the_elf_comes_out_as_it_went_in(name: str) -> None:
    assert extract_kernel(bzimage(with_size(PACKERS[name](KERNEL)))) == KERNEL


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_zstd_as_ubuntu_packs_its_kernel_is_known() -> None:
    packed = subprocess.run(["zstd", "-q", "-c", "-22", "--ultra"], input=KERNEL, capture_output=True, check=True)
    assert extract_kernel(bzimage(with_size(packed.stdout))) == KERNEL


IMAGE = bytes(56) + b"ARM\x64" + bytes(range(256)) * 300


def zboot(payload: bytes) -> bytes:
    """An EFI program that unpacks the Image in it."""
    head = b"MZ\0\0zimg" + struct.pack("<II", 512, len(payload)) + bytes(8) + b"gzip"
    return head.ljust(512, b"\0") + payload + b"tail"


@pytest.mark.parametrize(
    "packed",
    [IMAGE, gzip.compress(IMAGE), zboot(gzip.compress(IMAGE)), zboot(lzma.compress(IMAGE))],
    ids=["plain", "gzip", "zboot gzip", "zboot lzma"],
)
def test_of_an_arm_kernel_the_image_comes_out_however_it_is_packed(packed: bytes) -> None:
    assert begins_as_kernel(packed[:HEADER_BYTES])
    assert extract_kernel(packed) == IMAGE


@pytest.mark.parametrize(
    "other", [gzip.compress(KERNEL), gzip.compress(b""), b"\x1f\x8b\x08"], ids=["x86", "empty", "cut"]
)
def test_what_else_is_packed_by_gzip_is_no_kernel(other: bytes) -> None:
    assert not begins_as_kernel(other[:HEADER_BYTES])
    with pytest.raises(NotReadyError):
        extract_kernel(other)


@pytest.mark.parametrize(
    "broken",
    [zboot(b"?" * 99), zboot(gzip.compress(IMAGE)[:-9]), zboot(gzip.compress(KERNEL))],
    ids=["no gzip", "cut", "x86"],
)
def test_an_arm_kernel_that_is_damaged_is_refused(broken: bytes) -> None:
    with pytest.raises(NotReadyError):
        extract_kernel(broken)


def test_gzip_carries_its_size_itself() -> None:
    assert extract_kernel(bzimage(gzip.compress(KERNEL))) == KERNEL


def test_lz4_of_several_blocks_comes_out_whole() -> None:
    kernel = KERNEL + bytes(9 * 1024 * 1024)
    step = 8 * 1024 * 1024
    blocks = [lz4_legacy(kernel[at : at + step])[4:] for at in range(0, len(kernel), step)]
    payload = with_size(b"\x02\x21\x4c\x18" + b"".join(blocks), len(kernel))
    assert extract_kernel(bzimage(payload)) == kernel


def test_an_elf_is_taken_as_it_is() -> None:
    assert extract_kernel(KERNEL) == KERNEL


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a kernel" * 100, id="no header"),
        pytest.param(bzimage(b"unknown compression"), id="unknown compression"),
        pytest.param(bzimage(with_size(lz4_legacy(KERNEL)))[:-200], id="cut short"),
        pytest.param(bzimage(with_size(lz4_legacy(KERNEL), 5)), id="another size"),
        pytest.param(bzimage(with_size(lz4_legacy(b"no elf"), 6)), id="no ELF inside"),
        pytest.param(bzimage(with_size(b"\x02\x21\x4c\x18" + struct.pack("<I", 9) + b"\xff" * 9)), id="damaged lz4"),
        pytest.param(bzimage(with_size(b"BZh9 damaged")), id="damaged bzip2"),
    ],
)
def test_what_holds_no_kernel_is_refused_with_a_remedy(image: bytes) -> None:
    with pytest.raises(NotReadyError) as caught:
        extract_kernel(image)
    assert caught.value.remedy
