"""Which columns of a table fit into some room, and how wide each is there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from console.widgets.rows import Column

GAP = 2
_LEAST_OPEN = 8
_AMPLE_OPEN = 24


def fit(columns: Sequence[Column], room: int, hidden: Collection[int] = ()) -> list[tuple[int, int]]:
    """Columns that fit into ``room`` cells and their widths, as (column index, cells); never the ``hidden`` ones."""
    kept = [at for at in range(len(columns)) if at not in hidden]

    def needed() -> int:
        return sum((columns[at].width or _LEAST_OPEN) + GAP for at in kept) - GAP

    while len(kept) > 1 and needed() > room:
        kept.remove(min(kept, key=lambda at: (columns[at].priority, -at)))
    fixed = sum(columns[at].width for at in kept) + GAP * (len(kept) - 1)
    widths = {at: columns[at].width for at in kept}
    spare = max(0, room - fixed)
    open_columns = [at for at in kept if not widths[at]]
    for at in kept:
        growth = min(columns[at].most - widths[at], spare - _AMPLE_OPEN * len(open_columns))
        if growth > 0:
            widths[at] += growth
            spare -= growth
    if not open_columns:
        widths[kept[0]] += spare
    return [(at, widths[at] or spare // len(open_columns)) for at in kept]


def column_at(layout: Sequence[tuple[int, int]], x: int) -> int | None:
    """Index of the column at a cell, counted from where the first one begins; the gap behind a column is its own."""
    left = 0
    for at, cells in layout:
        if left <= x < left + cells + GAP:
            return at
        left += cells + GAP
    return None
