"""How a finding names many things: the first few, and how many more."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES_SHOWN = 4


def listed(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    more = len(texts) - _NAMES_SHOWN
    return ", ".join(texts[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
