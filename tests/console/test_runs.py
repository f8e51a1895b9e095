"""What an operator does with past runs: look, narrow, page back, run again, write to a file."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest

from console.run_book import MAX_LOADED, PAGE, RunBook
from console.run_filter import FilterError, parse
from console.screens.confirm import ConfirmDialog
from console.screens.export_form import ExportForm
from engine.errors import NotReadyError
from engine.models import RunQuery
from engine.models.run_table import COLUMNS
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import FakeEngine, full, typical
from tests.console.past_samples import PAST, RERUN, run
from tests.console.samples import NOW

# --- filter


def test_expressions_become_a_question_and_words_stay_words() -> None:
    found = parse(" lang:python status:!success  caller:http since:1h trace:5f0c oops 137 ", NOW)
    assert found.query == RunQuery(
        language="python", outcome="!success", caller="http", since=NOW - timedelta(hours=1), trace_id="5f0c"
    )
    assert found.words == ("oops", "137")


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("since:90s", NOW - timedelta(seconds=90)),
        ("since:2d", NOW - timedelta(days=2)),
        ("since:2026-03-14", NOW.replace(hour=0, minute=0, second=0)),
        ("since:2026-03-14T15:00", NOW.replace(minute=0, second=0)),
        ("since:2026-03-14T17:00+02:00", NOW.replace(minute=0, second=0)),
        ("since:", None),
    ],
)
def test_times_are_ages_or_moments(text: str, since: object) -> None:
    assert parse(text, NOW).query.since == since


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("language:python", "there is no filter language: but lang:"),
        ("status:sucess", "no run ends in 'sucess', but in success"),
        ("status:!nope", "no run ends in 'nope'"),
        ("caller:me", "there is no caller 'me', but cli"),
        ("since:yesterday", "'yesterday' is no time"),
        ("until:1y", "'1y' is no time"),
        (f"lang:{'x' * 65}", "too long"),
    ],
)
def test_a_wrong_expression_is_named(text: str, named: str) -> None:
    with pytest.raises(FilterError, match=named):
        parse(text, NOW)


def test_an_error_of_ours_can_be_looked_for() -> None:
    assert parse("status:guest-protocol", NOW).query.outcome == "guest-protocol"


# --- what is loaded


async def test_a_flood_of_runs_between_two_looks_leaves_no_gap() -> None:
    engine = FakeEngine(past=tuple(run(10 - number) for number in range(10)))
    book = RunBook(RunQuery())
    await book.refresh(engine)
    engine.past = tuple(run(1000 - number) for number in range(1000))
    await book.refresh(engine)
    assert [entry.id for entry in book.entries] == list(range(1000, 1000 - PAGE, -1))
    assert not book.complete
    await book.older(engine)
    assert [entry.id for entry in book.entries] == list(range(1000, 1000 - 2 * PAGE, -1))


async def test_what_is_loaded_is_bounded() -> None:
    engine = FakeEngine(past=tuple(run(9000 - number) for number in range(9000)))
    book = RunBook(RunQuery())
    await book.refresh(engine)
    for _ in range(MAX_LOADED // PAGE + 5):
        await book.older(engine)
    assert len(book.entries) == MAX_LOADED
    engine.past = (run(9001), *engine.past)
    await book.refresh(engine)
    assert [book.entries[0].id, len(book.entries), book.complete] == [9001, MAX_LOADED, False]


# --- the screen


async def runs_shown(driven: Driven) -> None:
    await driven.mode("7", "CALLER")
    await driven.until(lambda: driven.table.keys)


async def test_a_run_that_ends_appears_and_the_cursor_stays_on_its_row() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        await driven.press("j")
        assert driven.table.cursor == "899"
        engine.past = (run(901, outcome="killed"), *engine.past)
        await driven.press("r")
        await driven.sees("killed")
        assert driven.table.keys[0] == "901"
        assert driven.table.cursor == "899"


async def test_only_what_came_since_is_asked_for() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        await driven.press("r")
        await driven.until(lambda: len(engine.queries) > 1)
        assert [query.after for query in engine.queries][:2] == [None, 900]


async def test_the_end_of_the_list_loads_older_runs() -> None:
    engine = full()
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        assert len(driven.table.keys) == PAGE
        await driven.sees("200 runs and older")
        for loaded in (400, 600, 800, 900):
            await driven.press("G")
            await driven.until(lambda loaded=loaded: len(driven.table.keys) == loaded)
        await driven.sees("900 runs")
        assert driven.table.cursor == "101"


async def test_a_filter_asks_the_engine_and_words_narrow_the_rows() -> None:
    engine = full()
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        await driven.press("slash", *"status:!success caller:cli")
        await driven.until(lambda: engine.queries[-1].outcome == "!success" and engine.queries[-1].caller == "cli")
        await driven.sees("43 match 'status:!success caller:cli'")
        await driven.press(*" cold", "enter")
        await driven.sees("9 match ")
        assert driven.table.has_focus
        await driven.press("escape")
        await driven.sees("200 runs and older")


async def test_a_wrong_filter_is_named_and_keeps_the_field_open() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        await driven.press("slash", *"lan:python")
        await driven.sees("there is no filter lan:")
        await driven.press("enter")
        assert not driven.table.has_focus
        await driven.press("escape")
        await driven.sees("6 runs")
        assert len(driven.table.keys) == 6


async def test_the_filter_syntax_is_in_the_help() -> None:
    async with driving(console(typical()), (120, 36)) as driven:
        await runs_shown(driven)
        await driven.press("question_mark")
        await driven.sees("status:!success")


async def test_the_detail_has_all_figures_and_the_bar() -> None:
    async with driving(console(typical()), (80, 36)) as driven:
        await runs_shown(driven)
        await driven.press("enter")
        for text in ("5f0c3a917b000384", "118 ms", "9.4 MiB", "python-256m-1cpu", "▓", "212 B code"):
            await driven.sees(text)


async def test_a_run_is_opened_in_the_scratchpad_as_it_was() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        await driven.press("o")
        await driven.sees("once more")
        await driven.press("ctrl+r")
        await driven.sees("success")
        assert engine.requests == [RERUN]


async def test_a_run_whose_request_is_not_kept_says_why() -> None:
    async with driving(console(typical())) as driven:
        await runs_shown(driven)
        await driven.press("j", "o")
        await driven.sees("is not kept")
        await driven.sees("Only the last ones are.")


# --- export


async def exported(driven: Driven, path: Path) -> None:
    await driven.press("w")
    await driven.until(lambda: isinstance(driven.app.screen, ExportForm))
    field = driven.app.screen.query_one("#field-path Input")
    field.value = str(path)
    await driven.press("enter")


async def test_what_the_filter_shows_is_written_and_nothing_else(tmp_path: Path) -> None:
    async with driving(console(full())) as driven:
        await runs_shown(driven)
        await driven.press("slash", *"status:failed caller:cli cold", "enter")
        await driven.sees("9 match ")
        await exported(driven, tmp_path / "runs.json")
        await driven.sees("9 runs written")
    found = json.loads((tmp_path / "runs.json").read_text())
    assert {(entry["outcome"], entry["caller"], entry["boot"]) for entry in found} == {("failed", "cli", "cold")}
    assert len(found) == 9
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["runs.json"]


async def test_an_export_reaches_what_the_list_has_not_loaded(tmp_path: Path) -> None:
    engine = FakeEngine(past=tuple(run(2500 - number) for number in range(2500)))
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        await exported(driven, tmp_path / "runs.csv")
        await driven.sees("2500 runs written")
    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["id"]) for row in rows] == list(range(2500, 0, -1))
    assert (rows[1]["total_ms"], rows[1]["restore_ms"]) == ("170.2", "118.4")


async def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    engine = FakeEngine(
        past=tuple(run(10 - at, error=f"{sign}cmd|' /C calc'!A0") for at, sign in enumerate(("=", "+", "-", "@", "\t")))
    )
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        await exported(driven, tmp_path / "runs.csv")
        await driven.sees("5 runs written")
    with (tmp_path / "runs.csv").open(newline="") as file:
        for row in csv.reader(file):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)


async def test_a_file_is_overwritten_only_after_a_question(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("precious")
    async with driving(console(typical())) as driven:
        await runs_shown(driven)
        await exported(driven, path)
        await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog))
        await driven.press("enter")  # Cancel has the focus
        await driven.until(lambda: isinstance(driven.app.screen, ExportForm))
        assert path.read_text() == "precious"
        await driven.press("enter")
        await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog))
        await driven.press("tab", "enter")
        await driven.sees("6 runs written")
    assert path.read_text().startswith("id,trace_id,")


@pytest.mark.parametrize(
    ("name", "problem"), [("runs.txt", "must end in"), ("none/runs.csv", "There is no folder"), ("x\0.csv", "null")]
)
async def test_a_path_that_can_not_be_is_named(tmp_path: Path, name: str, problem: str) -> None:
    async with driving(console(typical()), (160, 40)) as driven:
        await runs_shown(driven)
        await exported(driven, tmp_path / name)
        await driven.sees(problem)


async def test_an_engine_that_fails_half_way_leaves_no_file(tmp_path: Path) -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await runs_shown(driven)
        engine.failing = NotReadyError("No history is kept", remedy="Move it away.")
        await exported(driven, tmp_path / "runs.csv")
        await driven.sees("No history is kept")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


async def test_what_came_between_question_and_writing_is_not_overwritten(tmp_path: Path) -> None:
    from console.run_export import export
    from engine.errors import ConflictError

    async def pages():
        (tmp_path / "runs.csv").write_text("precious")
        yield list(PAST)

    with pytest.raises(ConflictError):
        await export(pages(), tmp_path / "runs.csv")
    assert (tmp_path / "runs.csv").read_text() == "precious"


async def test_a_jump_to_the_runs_takes_their_filter_language() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.until(lambda: driven.app.last_health is not None)
        driven.app.jump("runs", "lang:python")
        await driven.sees("match 'lang:python'")
        await driven.until(lambda: engine.queries[-1].language == "python")
        await driven.press("escape")
        await driven.sees_no("match 'lang:python'")
        await driven.until(lambda: engine.queries[-1].language is None)


async def test_plain_words_tell_in_how_many_runs_they_were_looked_for() -> None:
    async with driving(console(full()), (120, 36)) as driven:
        await driven.mode("7", "and older")
        await driven.press("slash", *"python", "enter")
        await driven.sees("of the 200 loaded match 'python'")
