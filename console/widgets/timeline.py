"""Where the time of a VM's start went: a stacked bar, then each stage in words."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content

from console.plain import brief
from console.quantities import duration_ms
from console.shares import shares
from console.widgets.text_lines import TextLines
from engine.models import BootStage

_FILLS = (("░", "muted"), ("▓", "primary"), ("▒", "success"), ("█", "accent"), ("▓", "warning"))
_WORDS = {
    "prepare": "folder, jail and memory are made",
    "spawn": "the VMM's process starts",
    "vmm": "it takes commands",
    "load": "state and memory are loaded",
    "machine": "the machine is built, its firmware runs",
    "kernel": "the kernel boots",
    "modules": "drivers are loaded",
    "image": "the image is attached",
    "agent": "the agent starts",
    "hello": "the agent is heard",
    "resync": "time, entropy and identity are set",
}
_NAME_CELLS = 12
_MAX_BAR = 100


class Timeline(TextLines):
    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._stages: tuple[BootStage, ...] = ()

    def show(self, stages: Sequence[BootStage]) -> None:
        """The stages in the order they happened."""
        self._stages = tuple(stages)
        self.draw(self._drawn())

    def on_resize(self, event: events.Resize) -> None:
        self.draw(self._drawn())

    def _drawn(self) -> list[Content]:
        if not self._stages:
            return [Content.styled(" Its start was not measured.", "$muted")]
        total = sum(stage.ms for stage in self._stages)
        fills = [_FILLS[at % len(_FILLS)] for at in range(len(self._stages))]
        cells = shares([stage.ms for stage in self._stages], min(_MAX_BAR, self.size.width - 2))
        bar = [(fill * count, f"${role}") for (fill, role), count in zip(fills, cells, strict=True)]
        lines = [Content.assemble(" ", *bar), Content("")]
        for stage, (fill, role) in zip(self._stages, fills, strict=True):
            lines.append(
                Content.assemble(
                    (f" {fill} ", f"${role}"),
                    f"{brief(stage.name, _NAME_CELLS):<{_NAME_CELLS + 1}}",
                    f"{duration_ms(stage.ms):>9}",
                    (f"{stage.ms / total * 100 if total else 0:5.0f} %", "$muted"),
                    (f"  {_WORDS.get(stage.name, '')}", "$muted"),
                )
            )
        lines.append(Content.assemble(f"   {'together':<{_NAME_CELLS + 1}}", (f"{duration_ms(total):>9}", "bold")))
        return lines
