"""History of the scratchpad: found by words, bounded, private, and not stopped by a broken file."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from console.live_run import Phase
from console.outcome import Outcome
from console.scratch.difference import figures, output_difference
from console.scratch.history import ScratchHistory
from console.scratch.past import PastEntry
from engine.errors import InputError, NotFoundError
from engine.models import RunEvent, RunRequest, SourceFile
from tests.console.samples import NOW, result


def ended(request: RunRequest, *pieces: tuple[str, str], **fields: object) -> Outcome:
    """An outcome with this output."""
    outcome = Outcome.single(request)
    (run,) = outcome.runs
    for stream, text in pieces:
        run.take(RunEvent.model_construct(kind=stream, text=text, item=0))
    run.take(RunEvent(kind="result", trace_id="r-1", at_ms=1, result=result(**fields)))
    outcome.phase = Phase.ENDED
    return outcome


def entry(code: str, minutes: int = 0, *pieces: tuple[str, str], **fields: object) -> PastEntry:
    request = RunRequest(language="python", code=code)
    return PastEntry.of(ended(request, *pieces, **fields), NOW + timedelta(minutes=minutes))


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    pieces = (("stdout", "a\nb"), ("stderr", "warn\n"), ("stdout", "c"))
    kept = entry("code", 0, *pieces, status="failed", exit_code=139)
    history = ScratchHistory(tmp_path / "history")
    history.add(kept)
    found = history.get(kept.id)
    assert found == kept
    (run,) = found.outcome().runs
    assert tuple(run.log.pieces()) == pieces
    assert run.result is not None
    assert run.result.exit_code == 139


def test_output_that_no_file_can_hold_is_kept_with_a_sign_in_its_place(tmp_path: Path) -> None:
    kept = entry("code", 0, ("stdout", "a\ud800b\n"))
    ScratchHistory(tmp_path).add(kept)
    assert kept.runs[0].text == "a?b\n"


def test_folder_and_files_are_the_operators_alone(tmp_path: Path) -> None:
    history = ScratchHistory(tmp_path / "history")
    history.add(entry("x"))
    assert stat.S_IMODE((tmp_path / "history").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "history").iterdir()} == {0o600}


def test_the_oldest_entries_are_given_up(tmp_path: Path) -> None:
    history = ScratchHistory(tmp_path, max_entries=3)
    for number in range(5):
        history.add(entry(f"n{number}", number))
    assert [found.request.code for found in history.find().entries] == ["n4", "n3", "n2"]


def test_runs_that_end_within_a_second_keep_their_order() -> None:
    request = RunRequest(language="python", code="x")
    ids = [PastEntry.of(ended(request), NOW + timedelta(milliseconds=number)).id for number in range(20)]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("", ["beta", "alpha"]),
        ("ALPHA", ["alpha"]),
        ("printed", ["beta"]),
        ("python timeout", ["alpha"]),
        ("alpha printed", []),
        ("module.txt", ["beta"]),
        ("inside", ["beta"]),
    ],
)
def test_words_are_found_in_code_output_language_status_and_files(tmp_path: Path, words: str, codes: list[str]) -> None:
    history = ScratchHistory(tmp_path)
    history.add(entry("alpha", 0, status="timeout", exit_code=124))
    request = RunRequest(language="bash", code="beta", files=(SourceFile(path="module.txt", content="inside"),))
    history.add(PastEntry.of(ended(request, ("stdout", "it printed\n")), NOW + timedelta(minutes=1)))
    assert [found.request.code for found in history.find(words).entries] == codes


def test_a_broken_file_is_named_and_the_others_are_found(tmp_path: Path) -> None:
    history = ScratchHistory(tmp_path)
    history.add(entry("whole"))
    (tmp_path / "20260314150000-0123456789ab.json").write_text('{"version": 2}')
    found = history.find()
    assert [one.request.code for one in found.entries] == ["whole"]
    assert [one.name for one in found.broken] == ["20260314150000-0123456789ab.json"]


def test_output_is_kept_up_to_its_bound_and_what_is_missing_is_counted(tmp_path: Path) -> None:
    kept = entry("flood", 0, *(("stdout", "x" * 99 + "\n") for _ in range(20_000)))
    (run,) = kept.runs
    assert len(run.text) <= 256 * 1024
    assert run.dropped + run.text.count("\n") == 20_000
    ScratchHistory(tmp_path).add(kept)
    assert kept.outcome().runs[0].log.dropped == run.dropped


def test_what_is_too_large_is_refused_in_words(tmp_path: Path) -> None:
    history = ScratchHistory(tmp_path)
    with pytest.raises(InputError, match="not kept"):
        history.add(PastEntry.of(ended(RunRequest(language="python", stdin="x" * 3_000_000)), NOW))
    assert history.find().entries == ()


def test_removing_and_clearing_leave_nothing(tmp_path: Path) -> None:
    history = ScratchHistory(tmp_path)
    first = entry("x", 0)
    for one in (first, entry("y", 1)):
        history.add(one)
    history.remove(first.id)
    history.remove(first.id)
    with pytest.raises(NotFoundError):
        history.get(first.id)
    assert history.clear() == 1
    assert list(tmp_path.iterdir()) == []


def test_the_difference_names_lines_and_figures() -> None:
    left = entry("x", 0, ("stdout", "same\nold\n"), ("stderr", "err\n"))
    right = entry("x", 1, ("stdout", "same\nnew\n"), ("stderr", "err\n"), status="failed", exit_code=1)
    lines = output_difference(left, right)
    assert [line for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))] == ["-old", "+new"]
    assert "exit" in {pair.name for pair in figures(left, right) if pair.left != pair.right}
    assert output_difference(left, left) == []
