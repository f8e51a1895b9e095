"""History as a line of block characters: a tenth of what a graph widget costs on the wire."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float], width: int, top: float) -> str:
    """The last ``width`` values as blocks from 0 to ``top``, padded on the left where history is short."""
    shown = list(values)[-width:] if width > 0 else []
    scale = (len(BLOCKS) - 1) / top if top > 0 else 0.0
    blocks = "".join(BLOCKS[max(0, min(len(BLOCKS) - 1, round(value * scale)))] for value in shown)
    return blocks.rjust(max(0, width))
