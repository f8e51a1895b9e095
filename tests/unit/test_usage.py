"""What history knows of images and snapshots, by their names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.history import History
from engine.models import RunEntry, Timings

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    async with History(tmp_path / "history.db") as opened:
        yield opened


async def ran(history: History, number: int, *, snapshot: str | None, outcome: str = "success") -> None:
    entry = RunEntry(
        trace_id=f"trace-{number}",
        at=START + timedelta(minutes=number),
        language="python",
        outcome=outcome,
        caller="cli",
        image="python",
        snapshot=snapshot,
        timings=Timings(restore=100.0 + number, total=200),
    )
    await history.record_run(entry)


async def test_an_image_is_proven_by_the_last_run_that_succeeded(history: History) -> None:
    await ran(history, 1, snapshot=None)
    await ran(history, 2, snapshot=None, outcome="timeout")
    usage = (await history.image_usage())["python"]
    assert (usage.runs, usage.proven) == (2, START + timedelta(minutes=1))


async def test_a_snapshot_has_its_last_restores_newest_first(history: History) -> None:
    for number in range(1, 4):
        await ran(history, number, snapshot="warm")
    await ran(history, 4, snapshot=None)
    usage = await history.snapshot_usage()
    assert set(usage) == {"warm"}
    assert (usage["warm"].runs, usage["warm"].last_used) == (3, START + timedelta(minutes=3))
    assert usage["warm"].restore_ms == (103.0, 102.0, 101.0)


async def test_nothing_is_known_of_what_never_ran(history: History) -> None:
    assert (await history.image_usage(), await history.snapshot_usage()) == ({}, {})
