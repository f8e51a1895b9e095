"""Where the time of a run went: one stacked bar and its legend. Each stage has a fill of its own, not only a colour."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from console.quantities import duration_ms
from console.shares import shares
from engine.models import RunEntry, RunResult

_STAGES = (
    ("queue", "queue", "░", "muted"),
    ("restore", "restore", "▓", "primary"),
    ("resync", "resync", "▒", "success"),
    ("exec", "run", "█", "accent"),
)
_OTHER = ("other", "·", "rule")
_MAX_BAR = 100


class StageBar(Widget):
    """Two rows. Empty until there is a result."""

    result: reactive[RunResult | RunEntry | None] = reactive(None)

    def stages(self) -> list[tuple[str, float, str, str]]:
        """(name, milliseconds, fill, role) of each stage, the unaccounted rest last."""
        if self.result is None or self.result.timings is None:
            return []
        timings = self.result.timings
        boot = "boot" if self.result.boot == "cold" else "restore"
        found = [
            (boot if name == "restore" else name, float(getattr(timings, key)), fill, role)
            for key, name, fill, role in _STAGES
        ]
        rest = timings.total - sum(milliseconds for _, milliseconds, _, _ in found)
        if rest >= 1:
            name, fill, role = _OTHER
            found.append((name, rest, fill, role))
        return found

    def render(self) -> Content:
        stages = self.stages()
        if self.result is None or self.result.timings is None:
            return Content("")
        width = min(_MAX_BAR, self.size.width - 2)
        cells = shares([milliseconds for _, milliseconds, _, _ in stages], width)
        bar = [(fill * count, f"${role}") for (_, _, fill, role), count in zip(stages, cells, strict=True)]
        parts: list[tuple[str, str]] = [(" ", "$muted")]
        for name, milliseconds, fill, role in stages:
            parts += [
                (f"{fill} ", f"${role}"),
                (f"{name} ", "$muted"),
                (f"{duration_ms(milliseconds)}  ", "$foreground"),
            ]
        legend = Content.assemble(*parts)
        first = self.result.timings.first_output
        if first is not None:
            longer = Content.assemble(legend, ("first output ", "$muted"), (duration_ms(first), "$foreground"))
            legend = longer if longer.cell_length < self.size.width else legend
        return Content.assemble(" ", *bar, "\n", legend.truncate(self.size.width - 1, ellipsis=True))
