"""The benchmark runs here, and says what its readers expect; how fast is read from its figures, never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from engine.settings import Settings
from tests import firecracker_release
from tests.benchmarks import firecracker_loads, report
from tests.benchmarks.case import Case
from tests.benchmarks.figure import Figure, Target
from tests.benchmarks.firecracker_loads import JAILED_ROWS, ROWS
from tests.firecracker_release import NoFirecrackerError

ROOT = Path(__file__).parents[2]
KEYS = {"name", "unit", "n", "median", "p95", "baseline_median", "ratio", "target", "met", "skipped"}
WITH_TARGET = {
    *("restore_to_first_output", "cold_boot_to_agent", "cold_to_warm", "idle_clone_memory", "http_adds"),
    "firecracker_restore",
}


@pytest.mark.vm
def test_every_figure_is_measured_and_written(prepared: Settings, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    entries = json.loads(out.read_text())
    assert all(entry.keys() == KEYS for entry in entries)
    assert {entry["name"] for entry in entries if entry["target"] is not None} == WITH_TARGET
    assert {*ROWS, *JAILED_ROWS} <= {entry["name"] for entry in entries}
    for entry in entries:
        assert entry["name"] in done.stdout
        if entry["skipped"]:
            assert entry["name"].startswith("firecracker_")
            assert f"not measured: {entry['skipped']}" in done.stdout
            continue
        assert (entry["n"], entry["median"] > 0) == (2, True), entry
        assert isinstance(entry["met"], bool) == (entry["target"] is not None), entry
        assert (entry["ratio"] is None) == (entry["baseline_median"] is None), entry


async def test_without_firecracker_its_figures_say_why_they_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none() -> None:
        raise NoFirecrackerError("none here")

    monkeypatch.setattr(firecracker_release, "require_kvm", none)
    settings = Settings(data_dir=tmp_path)
    figures = await firecracker_loads.figures(settings, cast("Case", None), 2, lambda text: None)
    assert {figure.name for figure in figures} == {*ROWS, *JAILED_ROWS}
    for entry in [figure.entry() for figure in figures]:
        assert entry.keys() == KEYS
        assert (entry["n"], entry["median"], entry["met"], entry["skipped"]) == (0, None, None, "none here")
    assert "not measured: none here" in "\n".join(report.table(figures))


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(25), True),
        (Target(19), False),
        (Target(12, at_least=True), True),
        (Target(21, at_least=True), False),
        (Target(1.25, of_ratio=True), False),
        (Target(2, of_ratio=True), True),
        (None, None),
    ],
)
def test_a_target_is_met_by_the_median_or_by_its_ratio(target: Target | None, met: bool | None) -> None:
    assert Figure("some", "ms", "", samples=[10, 20, 90], baseline=[10, 10, 10], target=target).met is met


def test_p95_is_a_sample_that_19_of_20_do_not_exceed() -> None:
    assert Figure("some", "ms", "", samples=list(range(1, 21))).p95 == 19
    assert Figure("some", "ms", "", samples=[3, 1, 2]).p95 == 3
