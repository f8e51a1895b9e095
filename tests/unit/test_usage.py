"""What history knows of images and snapshots, by their names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.history import History, ProofQuery
from engine.models import Proof, RunEntry, Timings

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
        vmm="qemu",
        image="python",
        snapshot=snapshot,
        timings=Timings(restore=100.0 + number, total=200),
    )
    await history.record_run(entry)


async def test_an_image_is_proven_by_the_last_run_that_succeeded(history: History) -> None:
    await ran(history, 1, snapshot=None)
    await ran(history, 2, snapshot=None, outcome="timeout")
    usage = (await history.image_usage({"python": START}))["python"]
    assert (usage.runs, usage.proven) == (2, START + timedelta(minutes=1))


async def test_a_snapshot_has_its_last_restores_newest_first(history: History) -> None:
    for number in range(1, 4):
        await ran(history, number, snapshot="warm")
    await ran(history, 4, snapshot=None)
    usage = await history.snapshot_usage({"warm": START})
    assert set(usage) == {"warm"}
    assert (usage["warm"].runs, usage["warm"].last_used) == (3, START + timedelta(minutes=3))
    assert usage["warm"].restore_ms == (103.0, 102.0, 101.0)


async def test_nothing_is_known_of_what_never_ran(history: History) -> None:
    made = {"python": START}
    assert (await history.image_usage(made), await history.snapshot_usage(made)) == ({}, {})


async def test_runs_in_what_had_the_name_before_do_not_count(history: History) -> None:
    for number in range(1, 5):
        await ran(history, number, snapshot="warm")
    anew = START + timedelta(minutes=2, seconds=30)
    image = (await history.image_usage({"python": anew}))["python"]
    assert (image.runs, image.proven) == (2, START + timedelta(minutes=4))
    snapshot = (await history.snapshot_usage({"warm": anew}))["warm"]
    assert (snapshot.runs, snapshot.restore_ms) == (2, (104.0, 103.0))
    latest = {"python": START + timedelta(minutes=5), "warm": START + timedelta(minutes=5)}
    assert (await history.image_usage(latest), await history.snapshot_usage(latest)) == ({}, {})


async def test_a_run_that_began_in_the_one_before_proves_nothing_of_the_one_there_now(history: History) -> None:
    await ran(history, 1, snapshot="warm")
    while_it_ran = {name: START + timedelta(minutes=1, milliseconds=-100) for name in ("python", "warm")}
    assert await history.image_usage(while_it_ran) == {}
    assert await history.snapshot_usage(while_it_ran) == {}


async def test_a_language_is_proven_by_its_last_success_under_any_of_its_names(history: History) -> None:
    for number, outcome in enumerate(("success", "success", "failed"), 1):
        await ran(history, number, snapshot=None, outcome=outcome)
    asked = [ProofQuery(("py", "python"), "python", START), ProofQuery(("bash",), "python", START)]
    assert await history.proofs(asked) == {"py": Proof(vmm="qemu", date=START + timedelta(minutes=2))}
    anew = [ProofQuery(("python",), "python", START + timedelta(minutes=2, seconds=1))]
    assert await history.proofs(anew) == {}
