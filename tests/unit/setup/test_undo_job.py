"""Undo as a job of the engine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.backend import Backend
from engine.engine import Engine
from engine.models import Job, JobState
from engine.settings import Settings
from engine.setup.ledger import Ledger
from engine.setup.placing import place


async def ended(engine: Engine, job: Job) -> tuple[Job, list[str]]:
    lines: list[str] = []
    async for event in engine.job_events(job.id):
        job = event.job
        lines += [event.line] if event.line else []
    return job, lines


async def test_what_setup_made_is_shown_removed_and_what_is_left_is_named(settings: Settings, tmp_path: Path) -> None:
    for name in ("same", "changed"):
        place(Ledger(settings), "x", tmp_path / name, "text")
    (tmp_path / "changed").write_text("mine")
    async with Engine(settings) as engine:
        assert [Path(trace.what).name for trace in await engine.setup_record()] == ["same", "changed"]
        job, lines = await ended(engine, await engine.undo_setup())
        assert (job.state, job.fraction) == (JobState.DONE, 1.0)
        assert f"left {tmp_path / 'changed'}: it was changed since" in lines
        assert await engine.setup_record() == ()
    assert [(tmp_path / name).exists() for name in ("same", "changed")] == [False, True]


async def test_nothing_is_removed_under_a_live_vm(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(Ledger(settings), "x", tmp_path / "file", "text")
    async with Engine(settings) as engine:
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(Backend, "fleets", [SimpleNamespace(live=["vm-1"])])
            job, _ = await ended(engine, await engine.undo_setup())
    assert job.state is JobState.FAILED
    assert "VMs are live (1)" in (job.error or "")
    assert (tmp_path / "file").exists()
