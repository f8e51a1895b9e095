"""Parts of a whole, as bars show them: how far something is, and how many cells of a stacked bar each part gets."""

from __future__ import annotations

import math
from collections.abc import Sequence


def share(fraction: float | None) -> float | None:
    """How much of the whole, between 0 and 1; None where it is not known, or no number."""
    return None if fraction is None or math.isnan(fraction) else min(1.0, max(0.0, fraction))


def shares(amounts: Sequence[float], width: int) -> list[int]:
    """Cells for each amount, together ``width``; what is over zero gets one at least."""
    total = sum(amounts)
    if total <= 0 or width < len(amounts):
        return [0] * len(amounts)
    cells = [max(1, round(amount / total * width)) if amount > 0 else 0 for amount in amounts]
    cells[cells.index(max(cells))] += width - sum(cells)
    return cells
