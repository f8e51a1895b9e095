"""Any output can be searched: what was found is counted, marked, gone to, and stays right while lines come and go."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input

from console import themes
from console.output_log import OutputLog
from console.output_search import Hit, OutputSearch
from console.widgets.find_bar import FindBar
from console.widgets.output_view import OutputView


def search(text: str, *lines: str) -> OutputSearch:
    found = OutputSearch(text)
    found.add(enumerate(lines))
    return found


def test_every_place_is_found_whatever_its_case() -> None:
    assert search("ab", "Ab aB", "none", "xab").hits == [Hit(0, 0, 2), Hit(0, 3, 5), Hit(2, 1, 3)]


def test_what_is_looked_for_is_no_pattern() -> None:
    assert search("a.*", "abc", "a.*").hits == [Hit(1, 0, 3)]


@given(st.text(min_size=1, max_size=3), st.lists(st.text(max_size=20), max_size=5))
def test_what_is_found_is_what_was_looked_for(text: str, lines: list[str]) -> None:
    for hit in search(text, *lines).hits:
        assert lines[hit.line][hit.start : hit.end].casefold() == text.casefold() or len(text.casefold()) != len(text)


def test_stepping_goes_round_in_both_directions() -> None:
    found = search("x", "x", "x", "x")
    found.look_from(1)
    assert found.at == 1
    seen = []
    for by in (1, 1, -1, -1):
        found.step(by)
        seen.append(found.at)
    assert seen == [2, 0, 2, 1]


def test_after_the_last_match_looking_stays_at_it() -> None:
    found = search("x", "x", "-", "-")
    found.look_from(2)
    assert found.at == 0


def test_a_match_that_was_dropped_is_followed_by_the_next_one_kept() -> None:
    found = search("x", "x", "x", "x")
    found.look_from(0)
    found.add([(3, "x")], kept=range(1, 3))
    assert [hit.line for hit in found.hits] == [1, 2, 3]
    assert found.at is None
    found.step(1)
    assert found.at == 0


class Viewer(App[None]):
    """An output alone on a screen, with the console's style sheet."""

    CSS_PATH = Path(themes.__file__).with_name("console.tcss")

    def __init__(self, log: OutputLog) -> None:
        super().__init__()
        self.log_ = log

    def compose(self) -> ComposeResult:
        yield OutputView(self.log_)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.textual_theme(themes.load().files[themes.DEFAULT]).variables

    @property
    def view(self) -> OutputView:
        return self.query_one(OutputView)

    @property
    def shown(self) -> str:
        return "\n".join(strip.text for strip in self.screen._compositor.render_strips())


def many_lines() -> OutputLog:
    log = OutputLog()
    for number in range(200):
        log.line("log", f"line {number}")
    return log


async def search_for(pilot: Pilot[None], text: str) -> None:
    app = pilot.app
    assert isinstance(app, Viewer)
    app.view.focus()
    app.view.flush()
    await pilot.pause()
    await pilot.press("slash", *text)
    await pilot.pause()


async def test_the_scrollbar_is_where_the_view_is_from_the_first_lines_on() -> None:
    app = Viewer(many_lines())
    async with app.run_test(size=(60, 12)) as pilot:
        app.view.flush()
        await pilot.pause()
        assert app.view.scroll_offset.y > 0
        assert app.view.vertical_scrollbar.position == app.view.scroll_offset.y


async def test_a_match_far_above_is_brought_into_view_and_counted() -> None:
    app = Viewer(many_lines())
    async with app.run_test(size=(60, 12)) as pilot:
        await search_for(pilot, "line 17")
        assert "11 of 11" in app.shown  # following, so the newest: 179
        await pilot.press("enter", "n")
        await pilot.pause()
        assert "1 of 11" in app.shown
        assert "line 17 " in app.shown
        await pilot.press("N")
        await pilot.pause()
        assert "line 179" in app.shown


async def test_matches_are_counted_while_lines_come_and_the_view_stays() -> None:
    app = Viewer(many_lines())
    async with app.run_test(size=(60, 12)) as pilot:
        await search_for(pilot, "line 17")
        await pilot.press("enter", "n")
        app.log_.line("log", "line 17 again")
        app.view.flush()
        await pilot.pause()
        assert "1 of 12" in app.shown
        assert not app.view.following


async def test_a_match_over_two_rows_of_a_long_line_is_found() -> None:
    log = OutputLog()
    log.line("log", "x" * 55 + "needle" + "y" * 30)
    app = Viewer(log)
    async with app.run_test(size=(60, 12)) as pilot:
        await search_for(pilot, "needle")
        assert "1 of 1" in app.shown


async def test_another_log_is_shown_and_searched_from_its_first_line() -> None:
    app = Viewer(many_lines())
    async with app.run_test(size=(60, 12)) as pilot:
        await search_for(pilot, "line 1")
        other = OutputLog()
        app.view.show(other)
        for number in range(3):
            other.line("log", f"line 1 of another, {number}")
            app.view.flush()
        await pilot.pause()
        assert app.view.text.splitlines() == [f" line 1 of another, {number}" for number in range(3)]
        assert "of 3" in app.shown


async def test_escape_ends_the_search_and_gives_the_keys_back() -> None:
    app = Viewer(many_lines())
    async with app.run_test(size=(60, 12)) as pilot:
        await search_for(pilot, "zzz")
        assert "not found" in app.shown
        await pilot.press("escape")
        await pilot.pause()
        assert not app.query(FindBar)
        assert not app.query(Input)
        assert app.view.has_focus


async def test_a_second_slash_looks_for_something_else_in_the_same_field() -> None:
    app = Viewer(many_lines())
    async with app.run_test(size=(60, 12)) as pilot:
        await search_for(pilot, "line 1")
        await pilot.press("enter", "slash", *"line 42")
        await pilot.pause()
        assert "1 of 1" in app.shown
        assert len(app.query(FindBar)) == 1
