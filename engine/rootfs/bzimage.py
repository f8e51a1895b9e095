"""The kernel inside a packed one: Firecracker and PVH boot want it uncompressed.

That is the ELF file in an x86 bzImage, whose setup header (Documentation/arch/x86/boot.rst of Linux) names where the
payload lies; and on arm64 the Image (Documentation/arch/arm64/booting.rst), which is packed by gzip as a whole or lies
in an EFI program that unpacks it (drivers/firmware/efi/libstub/zboot-header.S).
"""

from __future__ import annotations

import struct
import zlib

from engine.errors import NotReadyError
from engine.rootfs.compression import detect

ELF_MAGIC = b"\x7fELF"
_BOOT_MAGIC = b"HdrS"
_SECTOR = 512
_ARM_MAGIC, _ARM_MAGIC_AT = b"ARM\x64", 56
_GZIP_MAGIC = b"\x1f\x8b\x08"
HEADER_BYTES = 0x250


def begins_as_kernel(head: bytes) -> bool:
    """Whether a file whose first HEADER_BYTES these are may be a kernel."""
    known = head.startswith(ELF_MAGIC) or head[0x202:0x206] == _BOOT_MAGIC
    return known or is_arm_image(head) or _is_zboot(head) or _is_packed_image(head)


def is_arm_image(data: bytes) -> bool:
    """Whether this is an arm64 Image, or the head of one."""
    return data[_ARM_MAGIC_AT : _ARM_MAGIC_AT + 4] == _ARM_MAGIC


def extract_kernel(image: bytes) -> bytes:
    """The kernel in ``image``, or ``image`` where it is not packed. Raises NotReadyError where there is none."""
    if image.startswith(ELF_MAGIC) or is_arm_image(image):
        return image
    if _is_packed_image(image[:HEADER_BYTES]):
        return _arm_image(image)
    if _is_zboot(image):
        offset, length = struct.unpack_from("<II", image, 8)
        return _arm_image(image[offset : offset + length])
    if len(image) < HEADER_BYTES or image[0x202:0x206] != _BOOT_MAGIC:
        raise _unusable("it has no x86 setup header")
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * _SECTOR + offset
    payload = image[start : start + length]
    if length < 8 or len(payload) != length:
        raise _unusable("its header names a payload beyond its end")
    compression = detect(payload)
    if compression is None:
        raise _unusable(f"its payload begins with {payload[:6].hex()}, which is no known compression")
    # Linux's build appends the unpacked size as 4 bytes, except to gzip, whose own last 4 bytes are just that.
    packed = payload if compression.name == "gzip" else payload[:-4]
    try:
        kernel = compression.decode(packed)
    except ValueError as error:
        raise _unusable(f"its {compression.name} payload is damaged: {error}") from None
    if len(kernel) != int.from_bytes(payload[-4:], "little") or not kernel.startswith(ELF_MAGIC):
        raise _unusable(f"its {compression.name} payload is not an ELF file of the size that it names")
    return kernel


def _is_zboot(head: bytes) -> bool:
    return head.startswith(b"MZ") and head[4:8] == b"zimg"


def _is_packed_image(head: bytes) -> bool:
    if not head.startswith(_GZIP_MAGIC):
        return False
    try:
        return is_arm_image(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEADER_BYTES))
    except zlib.error:
        return False


def _arm_image(packed: bytes) -> bytes:
    compression = detect(packed)
    if compression is None:
        raise _unusable(f"its payload begins with {packed[:6].hex()}, which is no known compression")
    try:
        kernel = compression.decode(packed)
    except ValueError as error:
        raise _unusable(f"its {compression.name} payload is damaged: {error}") from None
    if not is_arm_image(kernel):
        raise _unusable(f"its {compression.name} payload is no arm64 Image")
    return kernel


def _unusable(reason: str) -> NotReadyError:
    return NotReadyError(f"The kernel can't be unpacked: {reason}", remedy="Take another kernel, or fetch it again")
