"""The first row of every area: the areas with their digits on the left; on the right which engine, and how it is.

Where room is short the titles fold, never the digits, and of the right end first the words that can be told another
way. How far titles fold depends on the width and on what stays the same all the time, so that nothing jumps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from console.modes import MODES, Mode
from console.plain import CUT_SIGN, brief


@dataclass(frozen=True, slots=True)
class EngineState:
    """How the engine is: ``sign`` and ``word`` carry the meaning, ``role`` only colours it; ``short`` is for little
    room."""

    sign: str
    word: str
    role: str = "muted"
    short: str = ""


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """Which engine: its ``host`` where that is not this one, who ``serves`` there, what the operator may do."""

    host: str = ""
    serves: str = ""
    right: str = ""


STARTING = EngineState("…", "starting")
NO_ENGINE = EngineState("✗", "no engine", "error")
VERDICTS = {
    "ok": EngineState("✓", "ready", "success"),
    "degraded": EngineState("!", "degraded", "warning"),
    "blocked": EngineState("✗", "blocked", "error"),
}
FAILING = EngineState("✗", "engine fails", "error")
NOWHERE = EnginePlace()
_SERVES_SHORT = {"own engine": "own"}
_RIGHT_SHORT = "RO"
_HOST_CELLS = 24
_STATE_CELLS = 10
"""Of the widest verdict."""


def late(seconds: int) -> EngineState:
    return EngineState("◐", f"no answer {seconds} s", "warning")


def lost(data_age: str) -> EngineState:
    """``data_age`` tells how old what is on the screen is, "" where nothing is."""
    return EngineState("✗", f"lost, data {data_age} old" if data_age else "lost", "error", f"lost {data_age}".rstrip())


class _Tab(NamedTuple):
    mode: Mode
    text: str


class StatusLine(Widget):
    """Also a row of tabs for the mouse."""

    engine: reactive[EngineState] = reactive(STARTING)
    place: reactive[EnginePlace] = reactive(NOWHERE)

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def render(self) -> Content:
        brand, tabs = self._left()
        left = Content.assemble(
            (brand, "bold $primary"),
            *((tab.text, "bold reverse $primary" if tab.mode.name == self._mode else "$foreground") for tab in tabs),
        )
        right = self._right(self.size.width - left.cell_length - 2)
        room = self.size.width - left.cell_length - right.cell_length - 1
        return Content.assemble(left, " " * max(1, room), right, " ")

    # --- areas

    def _left(self) -> tuple[str, Sequence[_Tab]]:
        """The widest form of brand and titles that leaves what the right end always needs."""
        place = self.place
        needed = sum(cell_len(word) + 1 for word in (place.host[:_HOST_CELLS], place.right and _RIGHT_SHORT) if word)
        roomy = sum(cell_len(word) + 1 for word in (place.host[:_HOST_CELLS], place.right, place.serves) if word)
        for brand, titles, rest in self._forms(roomy, needed):
            width = cell_len(brand) + sum(cell_len(tab.text) for tab in titles)
            if width + rest + _STATE_CELLS + 2 <= self.size.width:
                return brand, titles
        return "", self._tabs("{digit} ", " {digit} ")

    def _forms(self, roomy: int, needed: int) -> Iterator[tuple[str, Sequence[_Tab], int]]:
        yield " vmdeck ", self._tabs(" {digit} {title} ", " {digit} {title} "), roomy
        yield "", self._tabs(" {digit} {title} ", " {digit} {title} "), roomy
        yield "", self._tabs(" {digit} {short} ", " {digit} {title} "), needed
        yield "", self._tabs("{digit}{short} ", " {digit} {title} "), needed
        yield "", self._tabs("{digit} ", " {digit} {title} "), needed

    def _tabs(self, form: str, form_here: str) -> list[_Tab]:
        return [
            _Tab(
                mode,
                (form_here if mode.name == self._mode else form).format(
                    digit=digit, title=mode.title, short=mode.short
                ),
            )
            for digit, mode in enumerate(MODES, 1)
        ]

    def on_click(self, event: events.Click) -> None:
        brand, tabs = self._left()
        x = cell_len(brand)
        if event.x < x:
            return
        for tab in tabs:
            x += cell_len(tab.text)
            if event.x < x:
                self.app.call_later(self.app.run_action, f"app.show_mode({tab.mode.name!r})")
                return

    # --- engine

    def _right(self, room: int) -> Content:
        for words in self._wordings():
            if sum(cell_len(word) for word, _ in words) + len(words) - 1 <= room:
                return Content(" ").join(Content.styled(word, f"${role}") for word, role in words)
        word, role = words[-1]
        return Content.styled(word[: max(0, room - 1)] + CUT_SIGN, f"${role}")

    def _wordings(self) -> Iterator[list[tuple[str, str]]]:
        """All that is to be said, then less and less."""
        state, place = self.engine, self.place
        host = brief(place.host, _HOST_CELLS)
        serves_short = _SERVES_SHORT.get(place.serves, place.serves)
        long = (f"{state.sign} {state.word}", state.role)
        short = (f"{state.sign} {state.short or state.word}", state.role)
        right_short = _RIGHT_SHORT if place.right else ""
        for serves, right, verdict in (
            (place.serves, place.right, long),
            (serves_short, place.right, long),
            (serves_short, right_short, long),
            ("", right_short, long),
            ("", right_short, short),
        ):
            said = ((host, "accent"), (serves, "muted"), (right, "warning"))
            yield [*((word, role) for word, role in said if word), verdict]
