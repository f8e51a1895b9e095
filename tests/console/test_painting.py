"""What is sent to the terminal is only what differs, and the terminal then shows the same as if all had been sent."""

from __future__ import annotations

import io
import re
import unicodedata

import pyte
from hypothesis import given, settings
from hypothesis import strategies as some
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from console.painting import Painting
from tests.console.evil import EVIL

WIDTH, HEIGHT = 24, 5
CONSOLE = Console(file=io.StringIO(), color_system="256", force_terminal=True)
STYLES = [Style.parse(words) for words in ("", "red", "bold on blue", "#a0b0c0 on #101418", "reverse", "underline")]
TEXTS = some.text(alphabet="ab -—▸●✓漢字é", min_size=0, max_size=WIDTH)
PIECES = some.lists(some.tuples(TEXTS, some.sampled_from(STYLES)), min_size=1, max_size=4)
FRAMES = some.lists(some.lists(PIECES, min_size=HEIGHT, max_size=HEIGHT), min_size=2, max_size=4)
Lines = list[list[tuple[str, Style]]]
SPANS = some.tuples(some.integers(0, HEIGHT - 1), some.integers(0, WIDTH - 1), some.integers(1, WIDTH))


def strip(pieces: list[tuple[str, Style]]) -> Strip:
    return Strip([Segment(text, style) for text, style in pieces]).adjust_cell_length(WIDTH, Style())


def whole(frame: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[line] for line in frame], Region(0, 0, WIDTH, HEIGHT))


def parts(frame: Lines, dirty: list[tuple[int, int, int]]) -> ChopsUpdate:
    """The lines in two chops each, as two widgets side by side make them."""
    chops = [dict(zip((0, 7), strip(line).divide([7, WIDTH]), strict=True)) for line in frame]
    return ChopsUpdate(chops, dirty, [[7, WIDTH]] * HEIGHT)


class Screen:
    """A terminal, and a painting that believes to know it."""

    def __init__(self) -> None:
        self.painting = Painting()
        self.seen = pyte.Screen(WIDTH, HEIGHT)
        self._parser = pyte.ByteStream(self.seen)
        self.sent = 0

    def show(self, update: CompositorUpdate) -> int:
        """Bytes that were sent for it."""
        ready = self.painting.difference(update, CONSOLE)
        data = b"" if ready is None else ready.render_segments(CONSOLE).encode()
        self._parser.feed(data)
        return len(data)

    @property
    def cells(self) -> list[list[pyte.screens.Char]]:
        return [[self.seen.buffer[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]


@settings(max_examples=40, deadline=None)
@given(FRAMES)
def test_after_each_frame_the_terminal_shows_what_a_whole_paint_shows(
    frames: list[Lines],
) -> None:
    by_difference = Screen()
    for pieces in frames:
        frame = [strip(line) for line in pieces]
        by_difference.show(whole(frame))
        afresh = Screen()
        afresh.show(whole(frame))
        assert by_difference.cells == afresh.cells


@settings(max_examples=40, deadline=None)
@given(FRAMES, some.lists(SPANS, min_size=1, max_size=6))
def test_parts_of_lines_come_to_the_same_as_whole_ones(frames: list[Lines], spans: list[tuple[int, int, int]]) -> None:
    """Dirty spans that cover all that differs, among others that cover nothing new."""
    by_parts, afresh = Screen(), Screen()
    dirty = sorted({(y, min(x1, x2), max(x1, x2)) for y, x1, x2 in spans} | {(y, 0, WIDTH) for y in range(HEIGHT)})
    by_parts.show(parts(frames[0], dirty))
    by_parts.show(parts(frames[-1], dirty))
    afresh.show(parts(frames[-1], [(y, 0, WIDTH) for y in range(HEIGHT)]))
    assert by_parts.cells == afresh.cells


def test_what_is_shown_already_is_not_sent_again() -> None:
    screen = Screen()
    frame = [strip([("the same", STYLES[1])]) for _ in range(HEIGHT)]
    assert screen.show(whole(frame)) > 0
    assert screen.show(whole(frame)) == 0
    assert screen.show(ChopsUpdate([{0: line} for line in frame], [(1, 0, WIDTH)], [[WIDTH]] * HEIGHT)) == 0


def test_one_changed_figure_costs_a_move_and_the_figure() -> None:
    screen = Screen()
    frame = [strip([("vm-0a31   41", STYLES[3])]) for _ in range(HEIGHT)]
    screen.show(whole(frame))
    frame[2] = strip([("vm-0a31   42", STYLES[3])])
    assert screen.show(whole(frame)) < 50


def test_a_style_that_differs_only_in_what_the_terminal_never_sees_is_the_same() -> None:
    screen = Screen()
    screen.show(whole([strip([("text", Style(bold=True))])] * HEIGHT))
    with_meta = Style(bold=True) + Style.from_meta({"offset": (1, 2)})
    assert screen.show(whole([strip([("text", with_meta)])] * HEIGHT)) == 0


def test_a_painting_that_forgot_sends_all_again() -> None:
    screen = Screen()
    frame = [strip([("text", STYLES[2])])] * HEIGHT
    first = screen.show(whole(frame))
    screen.painting.forget()
    assert screen.show(whole(frame)) == first


@given(some.text(max_size=WIDTH).map(lambda text: text + "".join(EVIL.values())[: WIDTH * 8]))
def test_text_that_came_past_all_else_steers_no_terminal(text: str) -> None:
    ready = Painting().difference(LayoutUpdate([[Strip([Segment(text)])]], Region(0, 0, WIDTH, 1)), CONSOLE)
    sent = re.sub(r"\x1b\[[0-9;]*[mH]", "", ready.render_segments(CONSOLE) if ready else "")
    assert [char for char in sent if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")] == []
