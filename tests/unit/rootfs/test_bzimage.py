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
from engine.rootfs.bzimage import extract_elf

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
    assert extract_elf(bzimage(with_size(PACKERS[name](KERNEL)))) == KERNEL


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_zstd_as_ubuntu_packs_its_kernel_is_known() -> None:
    packed = subprocess.run(["zstd", "-q", "-c", "-22", "--ultra"], input=KERNEL, capture_output=True, check=True)
    assert extract_elf(bzimage(with_size(packed.stdout))) == KERNEL


def test_gzip_carries_its_size_itself() -> None:
    assert extract_elf(bzimage(gzip.compress(KERNEL))) == KERNEL


def test_lz4_of_several_blocks_comes_out_whole() -> None:
    kernel = KERNEL + bytes(9 * 1024 * 1024)
    step = 8 * 1024 * 1024
    blocks = [lz4_legacy(kernel[at : at + step])[4:] for at in range(0, len(kernel), step)]
    payload = with_size(b"\x02\x21\x4c\x18" + b"".join(blocks), len(kernel))
    assert extract_elf(bzimage(payload)) == kernel


def test_an_elf_is_taken_as_it_is() -> None:
    assert extract_elf(KERNEL) == KERNEL


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
        extract_elf(image)
    assert caught.value.remedy
