"""A table keeps cursor, marks, filter and order by key, whatever becomes of its rows."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.row_filter import RowFilter
from console.widgets.row_order import RESORT_EVERY_S, RowOrder
from tests.console.evil import EVIL

COLUMNS = (Column("NAME", 12), Column("NUMBER", 6, right=True, live=True), Column("NOTE", 0, priority=1))


def row(key: str, number: float | None = None, note: str = "") -> Row:
    return Row(key, (Cell(key), Cell("-" if number is None else f"{number:.0f}M", value=number), Cell(note)))


class TableApp(App[None]):
    def compose(self) -> ComposeResult:
        table = LineTable(COLUMNS)
        table.markable = True
        yield table


KEYS = st.sampled_from([f"row-{number}" for number in range(12)])
ROWS = st.lists(
    st.builds(row, KEYS, st.none() | st.floats(0, 99), st.sampled_from(["", "a", "b"])),
    max_size=12,
    unique_by=lambda one: one.key,
)
MOVES = st.sampled_from(["cursor_up", "cursor_down", "page_down", "first", "last", "mark", "mark_all", "reverse"])
CHANGES = st.one_of(
    st.tuples(st.just("rows"), ROWS),
    st.tuples(st.just("update"), ROWS),
    st.tuples(st.just("move"), MOVES),
    st.tuples(st.just("sort"), st.none() | st.integers(0, 2)),
    st.tuples(st.just("filter"), st.sampled_from(["", "row-1", "!a", "note:b", "number:1"])),
)


def change(table: LineTable, what: str, value: object) -> None:
    match what, value:
        case "rows", list(rows):
            table.set_rows(rows)
        case "update", list(rows):
            table.update_rows(rows)
        case "move", str(name):
            getattr(table, f"action_{name}")()
        case "sort", int() | None as column:
            table.sort(column)
        case _, str(words):
            table.filter = words


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES, max_size=25))
def test_the_cursor_stays_on_its_row_while_that_is_shown(changes: list[tuple[str, object]]) -> None:
    async def check() -> None:
        async with TableApp().run_test(size=(40, 8)) as pilot:
            table = pilot.app.query_one(LineTable)
            known: set[str] = set()
            for what, value in changes:
                before, marked = table.cursor, set(table.marked)
                first = table.keys[:1] == [before]
                change(table, what, value)
                if what == "rows":
                    known = {one.key for one in value}  # type: ignore[union-attr]
                    assert set(table.marked) == marked & known
                if what != "move" and not (what == "sort" and first):
                    assert table.cursor == before or before not in table.keys
                assert (table.cursor is None) == (not table.keys)
                assert table.cursor is None or table.cursor in table.keys
                assert set(table.keys) <= known
                assert len(table.keys) == len(set(table.keys))

    asyncio.run(check())


@settings(max_examples=40, deadline=None)
@given(st.lists(CHANGES, min_size=3, max_size=12))
def test_what_is_painted_in_parts_is_what_would_be_painted_whole(changes: list[tuple[str, object]]) -> None:
    async def check() -> None:
        async with TableApp().run_test(size=(40, 8)) as pilot:
            table = pilot.app.query_one(LineTable)
            await pilot.pause()
            for what, value in changes:
                change(table, what, value)
                await pilot.pause()
                in_parts = [strip.text for strip in pilot.app.screen._compositor.render_strips()]
                table.refresh()
                await pilot.pause()
                assert in_parts == [strip.text for strip in pilot.app.screen._compositor.render_strips()]

    asyncio.run(check())


def ordered(order: RowOrder, *rows: Row) -> list[str]:
    return [one.key for one in order.sorted(rows)]


def test_equals_keep_the_order_in_which_they_came_both_ways() -> None:
    order = RowOrder(COLUMNS)
    rows = (row("b", 1), row("a", 2), row("c", 1))
    order.choose(1)
    assert ordered(order, *rows) == ["a", "b", "c"]
    order.reverse()
    assert ordered(order, *rows) == ["b", "c", "a"]


def test_what_is_not_known_comes_last_both_ways() -> None:
    order = RowOrder(COLUMNS)
    order.choose(1)
    assert ordered(order, row("a"), row("b", 1))[-1] == "a"
    order.reverse()
    assert ordered(order, row("a"), row("b", 1))[-1] == "a"


def test_numbers_are_sorted_by_their_value_and_names_by_the_numbers_in_them() -> None:
    order = RowOrder(COLUMNS)
    order.choose(1)
    assert ordered(order, row("a", 9), row("b", 43)) == ["b", "a"]
    order.choose(0)
    assert ordered(order, row("vm-10"), row("vm-9"), row("VM-1")) == ["VM-1", "vm-9", "vm-10"]


def test_a_live_column_is_sorted_again_only_after_a_while() -> None:
    now = 0.0
    order = RowOrder(COLUMNS, clock=lambda: now)
    order.choose(1)
    assert ordered(order, row("a", 1), row("b", 2)) == ["b", "a"]
    now = RESORT_EVERY_S - 0.1
    assert ordered(order, row("c", 9), row("a", 5), row("b", 2)) == ["b", "a", "c"]
    now = RESORT_EVERY_S
    assert ordered(order, row("c", 9), row("a", 5), row("b", 2)) == ["c", "a", "b"]


def test_a_chosen_column_is_sorted_at_once() -> None:
    order = RowOrder(COLUMNS, clock=lambda: 0.0)
    order.choose(1)
    ordered(order, row("a", 1), row("b", 2))
    order.reverse()
    assert ordered(order, row("a", 1), row("b", 2)) == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "passes"),
    [
        ("", True),
        ("one", True),
        ("ONE two", True),
        ("!one", False),
        ("!three", True),
        ("!", True),
        ("name:one", True),
        ("na:one", True),
        ("note:one", False),
        ("!note:one", True),
        ("note:", True),
        ("a:b", False),
        ("12m", True),
        ("number:12", True),
    ],
)
def test_a_filter_takes_words_words_to_be_absent_and_words_in_a_column(words: str, passes: bool) -> None:
    one = Row("key", (Cell("One"), Cell("12M"), Cell("two")))
    assert RowFilter(words, COLUMNS).passes(one) is passes


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
def test_no_text_can_break_order_or_filter(text: str) -> None:
    order = RowOrder(COLUMNS)
    order.choose(0)
    assert sorted(ordered(order, row(text), row("a"))) == sorted([text, "a"])
    RowFilter(text, COLUMNS).passes(row(text))
