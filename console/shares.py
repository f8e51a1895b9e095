"""Room given out by amounts: how many cells of a stacked bar each part gets."""

from __future__ import annotations

from collections.abc import Sequence


def shares(amounts: Sequence[float], width: int) -> list[int]:
    """Cells for each amount, together ``width``; what is over zero gets one at least."""
    total = sum(amounts)
    if total <= 0 or width < len(amounts):
        return [0] * len(amounts)
    cells = [max(1, round(amount / total * width)) if amount > 0 else 0 for amount in amounts]
    cells[cells.index(max(cells))] += width - sum(cells)
    return cells
