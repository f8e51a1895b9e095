"""The ELF kernel inside a bzImage: Firecracker and PVH boot want it uncompressed.

The setup header (Documentation/arch/x86/boot.rst of Linux) names where the payload lies.
"""

from __future__ import annotations

import struct

from engine.errors import NotReadyError
from engine.rootfs.compression import detect

ELF_MAGIC = b"\x7fELF"
_BOOT_MAGIC = b"HdrS"
_SECTOR = 512
HEADER_BYTES = 0x250


def begins_as_kernel(head: bytes) -> bool:
    """Whether a file whose first HEADER_BYTES these are may be a kernel."""
    return head.startswith(ELF_MAGIC) or head[0x202:0x206] == _BOOT_MAGIC


def extract_elf(image: bytes) -> bytes:
    """The ELF kernel in the bzImage ``image``. Raises NotReadyError where there is none that can be unpacked."""
    if image.startswith(ELF_MAGIC):
        return image
    if len(image) < HEADER_BYTES or not begins_as_kernel(image):
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


def _unusable(reason: str) -> NotReadyError:
    return NotReadyError(f"The kernel can't be unpacked: {reason}", remedy="Take another kernel, or fetch it again")
