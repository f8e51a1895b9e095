"""Text for the clipboard of the operator's own terminal, by the escape sequence OSC 52, which SSH carries through.

The terminal does not answer, and some ignore the sequence, so nobody here can say that text was copied. What is sent
may stem from a guest: it goes out as base64, and without the control characters by which a paste could act as keys.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

MOST_BYTES = 74_994
"""What a terminal takes that allows 100,000 bytes for the whole sequence, as hterm does."""

_KEPT = "\t\n"
_DROPPED = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT}


@dataclass(frozen=True, slots=True)
class Clip:
    """``text`` as it may go to a clipboard, and how many control characters it has lost for that."""

    text: str
    dropped: int

    @classmethod
    def of(cls, text: str) -> Clip:
        lines = text.replace("\r\n", "\n")
        kept = lines.translate(_DROPPED)
        return cls(kept, len(lines) - len(kept))

    @property
    def payload(self) -> bytes:
        return self.text.encode(errors="replace")

    @property
    def fits(self) -> bool:
        return len(self.payload) <= MOST_BYTES

    @property
    def sequence(self) -> str:
        """For the terminal."""
        return f"\x1b]52;c;{base64.b64encode(self.payload).decode()}\x07"
