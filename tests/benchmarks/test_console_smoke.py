"""The console's benchmark runs here, and says what its readers expect; how fast is read from its figures."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.console.series import FLEETS, SIZES

ROOT = Path(__file__).parents[2]
KEYS = {"name", "unit", "n", "median", "p95", "baseline_median", "ratio", "target", "met", "skipped"}
NAMES = {
    *("first_paint", "idle_bytes", "key_to_paint", "key_to_paint_stalled", "key_to_paint_flood"),
    *("memory_growth", "slow_link_age", "slow_link_key"),
    *(f"tick_{kind}_{vms}_{size}" for kind, vms, size in itertools.product(("bytes", "cpu"), FLEETS, SIZES)),
}


def test_every_figure_of_the_console_is_measured_and_has_a_target(tmp_path: Path) -> None:
    out = tmp_path / "bench-console.json"
    command = [sys.executable, "-m", "tests.benchmarks.console", "--smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    entries = json.loads(out.read_text())
    assert all(entry.keys() == KEYS for entry in entries)
    assert {entry["name"] for entry in entries} == NAMES
    assert all(entry["n"] > 0 and isinstance(entry["met"], bool) for entry in entries)
    assert next(entry["median"] for entry in entries if entry["name"] == "idle_bytes") == 0
