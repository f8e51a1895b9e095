"""Commands for what is over: past runs and jobs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Sequence

import pytest

from engine.errors import NotReadyError
from engine.models import JobState, RunEntry, RunQuery
from engine.models.run_table import COLUMNS, csv_rows
from tests.unit.cli.conftest import Invoke
from tests.unit.fake_engine import BROKEN, PAST, SLOW, FakeEngine, raising


def test_past_runs_are_a_table_json_or_csv(vmdeck: Invoke) -> None:
    header, first, second = vmdeck("runs").stdout.splitlines()
    assert header.split() == ["ENDED", "LANGUAGE", "OUTCOME", "EXIT", "TOTAL", "BOOT", "CALLER", "RUN"]
    assert ("busy" in first, "past-1" in second) == (True, True)
    found = json.loads(vmdeck("runs", "--json").stdout)
    assert tuple(RunEntry.model_validate_json(json.dumps(each)) for each in found) == PAST
    rows = list(csv.DictReader(io.StringIO(vmdeck("runs", "--csv").stdout)))
    assert [(row["trace_id"], row["error"]) for row in rows] == [("past-2", "too many"), ("past-1", "")]
    assert tuple(rows[0]) == COLUMNS


def test_what_is_asked_of_history_is_passed_on(vmdeck: Invoke, engine: FakeEngine) -> None:
    flags = ("--lang", "python", "--outcome", "!success", "--caller", "http", "--since", "2026-03-14", "--limit", "5")
    assert vmdeck("runs", *flags).exit_code == 0
    (query,) = engine.queries
    assert query is not None
    assert query.model_dump(mode="json", exclude_none=True) == {
        "language": "python",
        "outcome": "!success",
        "caller": "http",
        "since": "2026-03-14T00:00:00Z",
        "limit": 5,
    }


def test_more_runs_than_one_answer_holds_are_asked_for_page_by_page(
    vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def runs(query: RunQuery) -> Sequence[RunEntry]:
        newest = (query.before or 1501) - 1
        return [PAST[0].model_copy(update={"id": at}) for at in range(newest, max(0, newest - query.limit), -1)]

    monkeypatch.setattr(engine, "runs", runs)
    for limit, last in (("1200", 301), ("9000", 1)):
        found = json.loads(vmdeck("runs", "--json", "--limit", limit).stdout)
        assert [run["id"] for run in found] == list(range(1500, last - 1, -1))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--since", "yesterday"), "'yesterday' is no time"),
        (("--outcome", "sucess"), "no run ends in 'sucess'"),
        (("--caller", "me"), "caller"),
        (("--limit", "0"), "limit"),
        (("--json", "--csv"), "exclude each other"),
    ],
)
def test_a_wrong_question_is_named(vmdeck: Invoke, flags: tuple[str, ...], named: str) -> None:
    result = vmdeck("runs", *flags)
    assert result.exit_code == 2
    assert named in result.stdout + result.stderr


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\x1b]0;owned\x07"])
def test_a_cell_of_text_is_neither_formula_nor_escape_sequence(text: str) -> None:
    line = csv_rows([PAST[0].model_copy(update={"error": text})])
    (row,) = csv.reader(io.StringIO(line))
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    assert line.strip().isprintable()


# --- jobs


def started(engine: FakeEngine, what: str) -> str:
    return asyncio.run(engine.apply_setup([what])).id


def test_jobs_are_listed_without_a_further_word(vmdeck: Invoke, engine: FakeEngine) -> None:
    job = started(engine, SLOW)
    header, first = vmdeck("jobs").stdout.splitlines()
    assert header.split()[:5] == ["JOB", "STATE", "DONE", "RATE", "LEFT"]
    assert first.startswith(job)
    assert json.loads(vmdeck("jobs", "--json").stdout)[0]["id"] == job


def test_an_engine_that_fails_is_told_by_the_bare_list_too(vmdeck: Invoke, engine: FakeEngine) -> None:
    with raising(engine, NotReadyError("no disk", remedy="mend it")):
        result = vmdeck("jobs")
    assert (result.exit_code, "no disk" in result.stderr) == (2, True)


def test_the_log_of_a_job_is_printed(vmdeck: Invoke, engine: FakeEngine) -> None:
    assert vmdeck("jobs", "log", started(engine, "qemu")).stdout.splitlines() == ["begin", "half done", "done"]


def test_a_job_is_cancelled(vmdeck: Invoke, engine: FakeEngine) -> None:
    job = started(engine, SLOW)
    assert vmdeck("jobs", "cancel", job).stdout == "setup slow: cancelled\n"
    assert [each.state for each in asyncio.run(engine.jobs())] == [JobState.CANCELLED]


def test_what_became_of_a_job_can_be_json(vmdeck: Invoke, engine: FakeEngine) -> None:
    job = started(engine, SLOW)
    assert json.loads(vmdeck("jobs", "cancel", job, "--json").stdout)["state"] == "cancelled"
    refused = vmdeck("jobs", "retry", started(engine, BROKEN), "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["type"]) == (1, "urn:vmdeck:error:job-failed")


@pytest.mark.parametrize("words", [("runs",), ("jobs",), ("jobs", "cancel"), ("settings",), ("settings", "set")])
def test_help_has_an_example_and_names_json(vmdeck: Invoke, words: tuple[str, ...]) -> None:
    told = vmdeck(*words, "--help").stdout
    assert f"Example: vmdeck {' '.join(words)}" in told
    assert "--json" in told


def test_a_job_that_fails_again_exits_as_it_did_the_first_time(vmdeck: Invoke, engine: FakeEngine) -> None:
    result = vmdeck("jobs", "retry", started(engine, BROKEN))
    assert (result.exit_code, "it broke" in result.stderr) == (1, True)
    assert len(asyncio.run(engine.jobs())) == 2


@pytest.mark.parametrize("verb", ["log", "cancel", "retry"])
def test_an_unknown_job_is_named(vmdeck: Invoke, verb: str) -> None:
    result = vmdeck("jobs", verb, "none")
    assert (result.exit_code, "No job 'none'" in result.stderr) == (2, True)
