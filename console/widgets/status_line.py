"""The first row of every mode: the areas with their digits on the left, the engine's state on the right."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from console.modes import MODES


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the right end says: ``sign`` and ``word`` carry the meaning, ``role`` only colours it."""

    sign: str
    word: str
    role: str = "muted"


STARTING = EngineState("…", "starting")
NO_ENGINE = EngineState("✗", "no engine", "error")
VERDICTS = {
    "ok": EngineState("✓", "ready", "success"),
    "degraded": EngineState("!", "degraded", "warning"),
    "blocked": EngineState("✗", "blocked", "error"),
}
FAILING = EngineState("✗", "engine fails", "error")


def late(seconds: int) -> EngineState:
    return EngineState("◐", f"no answer {seconds} s", "warning")


class StatusLine(Widget):
    """Also a row of tabs for the mouse."""

    engine: reactive[EngineState] = reactive(STARTING)
    read_only: reactive[bool] = reactive(False)

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def render(self) -> Content:
        left = Content.assemble(*self._tabs())
        right = Content.assemble(
            ("read-only  " if self.read_only and self.size.width >= 100 else "RO " if self.read_only else "", "$muted"),
            (f"{self.engine.sign} {self.engine.word} ", f"${self.engine.role}"),
        )
        room = self.size.width - left.cell_length - right.cell_length
        return Content.assemble(left, " " * max(1, room), right)

    def _tabs(self) -> list[Content]:
        tabs: list[Content] = []
        if self.size.width >= 100:
            tabs.append(Content.styled(" vmdeck ", "bold $primary"))
        for digit, mode in enumerate(MODES, 1):
            here = mode.name == self._mode
            text = f" {digit} {mode.title} "
            tabs.append(Content.styled(text, "bold reverse $primary" if here else "$foreground"))
        return tabs

    def on_click(self, event: events.Click) -> None:
        x = cell_len(" vmdeck ") if self.size.width >= 100 else 0
        for digit, mode in enumerate(MODES, 1):
            x += cell_len(f" {digit} {mode.title} ")
            if event.x < x:
                self.app.call_later(self.app.run_action, f"app.show_mode({mode.name!r})")
                return
