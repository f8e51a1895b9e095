"""The first row of every area: the areas with their digits on the left; on the right which engine, and how it is.

Where room is short the titles fold, never the digits, and of the right end first the words that can be told another
way. How far titles fold depends on the width and on what stays the same all the time, so that nothing jumps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from console.modes import MODES, Mode
from console.plain import CUT_SIGN, brief

if TYPE_CHECKING:
    from console.app import ConsoleApp


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
_HOST_SHORT_CELLS = 10
_STATE_CELLS = 10
"""Of the widest verdict."""

_LOST_CELLS = 14
"""What the words of a loss take beyond that."""

Words = list[tuple[str, str]]


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

    app: ConsoleApp
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
        host = brief(place.host, _HOST_CELLS)
        host_short = brief(place.host, _HOST_SHORT_CELLS)
        needed = _STATE_CELLS + sum(cell_len(word) + 1 for word in (host_short, place.right and _RIGHT_SHORT) if word)
        roomy = _STATE_CELLS + sum(cell_len(word) + 1 for word in (host, place.right, place.serves) if word)
        for brand, titles, rest in self._forms(roomy, needed):
            width = cell_len(brand) + sum(cell_len(tab.text) for tab in titles)
            if width + rest + 2 <= self.size.width:
                break
        return brand, titles

    def _forms(self, roomy: int, needed: int) -> Iterator[tuple[str, Sequence[_Tab], int]]:
        yield " vmdeck ", self._tabs(" {digit} {title} ", " {digit} {title} "), roomy + _LOST_CELLS
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
                self.app.action_show_mode(tab.mode.name)
                return

    # --- engine

    def _right(self, room: int) -> Content:
        wordings = self._wordings()
        words = next((words for words in wordings if _width(words) <= room), wordings[-1])
        return _cut(Content(" ").join(Content.styled(word, f"${role}") for word, role in words), room)

    def _wordings(self) -> Sequence[Words]:
        """All that is to be said, then less and less."""
        state, place = self.engine, self.place
        serves_short = _SERVES_SHORT.get(place.serves, place.serves)
        right_short = _RIGHT_SHORT if place.right else ""
        long = (f"{state.sign} {state.word}", state.role)
        short = (f"{state.sign} {state.short or state.word}", state.role)
        forms = (
            (_HOST_CELLS, place.serves, place.right, long),
            (_HOST_CELLS, serves_short, place.right, long),
            (_HOST_CELLS, serves_short, right_short, long),
            (_HOST_CELLS, "", right_short, long),
            (_HOST_CELLS, "", right_short, short),
            (_HOST_SHORT_CELLS, "", right_short, short),
        )
        return [
            [
                (word, role)
                for word, role in ((brief(place.host, cells), "accent"), (serves, "muted"), (right, "warning"), said)
                if word
            ]
            for cells, serves, right, said in forms
        ]


def _width(words: Words) -> int:
    return sum(cell_len(word) + 1 for word, _ in words) - 1


def _cut(content: Content, room: int) -> Content:
    if content.cell_length <= room:
        return content
    return content[: max(0, room - 1)] + Content.styled(CUT_SIGN, "$muted")
