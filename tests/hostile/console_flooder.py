"""A guest that does nothing but write to its serial console, as fast as it can: a kernel of a few bytes."""

from __future__ import annotations

import struct
from pathlib import Path

_BASE = 0x100000
_HEADERS = 64 + 2 * 56
_ENTRY_NOTE = 18  # XEN_ELFNOTE_PHYS32_ENTRY: where a PVH loader begins, in 32-bit protected mode
# mov edx, 0x3f8; again: mov al, 0xe2; out dx, al; mov al, 'x'; out dx, al; jmp again
_CODE = b"\xba\xf8\x03\x00\x00" + b"\xb0\xe2\xee\xb0\x78\xee" + b"\xeb\xf8"


def write_kernel(path: Path) -> None:
    """An ELF that writes the first byte of a character and an x, for ever: text that is never whole."""
    code_at = _HEADERS
    note_at = code_at + len(_CODE) + (-len(_CODE) % 8)
    note = struct.pack("<III4sQ", 4, 8, _ENTRY_NOTE, b"Xen\0", _BASE + code_at)
    size = note_at + len(note)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + code_at, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, 0, _BASE, _BASE, size, size, 0x1000)
    notes = struct.pack("<IIQQQQQQ", 4, 4, note_at, _BASE + note_at, _BASE + note_at, len(note), len(note), 4)
    path.write_bytes((header + load + notes + _CODE).ljust(note_at, b"\0") + note)
