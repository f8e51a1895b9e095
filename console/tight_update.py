"""What goes to the terminal for a part of the screen that changed: that part only.

Textual's own update begins every changed line at the left end of its widget, so that an age in the middle of a row
costs as much as the row up to there. Textual is pinned to the version whose update this replaces.
"""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.control import Control
from textual._compositor import ChopsUpdate


class TightUpdate(ChopsUpdate):
    """Spans of lines, each cut at both of its ends."""

    def render_segments(self, console: Console) -> str:
        parts: list[str] = []
        for y, start, end in self.spans:
            for chop_end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                left, right = max(x, start), min(chop_end, end)
                if strip is not None and left < right:
                    parts.append(Control.move_to(left, y).segment.text)
                    parts.append(strip.crop(left - x, right - x).render(console))
        return "".join(parts)


def tightened(renderable: RenderableType | None) -> RenderableType | None:
    """The same, as a TightUpdate where it updates a part of the screen."""
    if isinstance(renderable, ChopsUpdate):
        return TightUpdate(renderable.chops, renderable.spans, renderable.chop_ends)
    return renderable
