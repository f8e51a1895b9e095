"""The rate of the time stamp counter, as a guest is told it."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import pytest

from engine.host.tsc import tsc_khz

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="no such counter here")


def test_it_is_the_same_each_time_it_is_measured() -> None:
    rates: list[int] = []
    for _ in range(3):
        tsc_khz.cache_clear()
        rate = tsc_khz()
        assert rate is not None
        rates.append(rate)
    assert max(rates) - min(rates) < rates[0] / 5_000  # 200 ppm: a second in over an hour


def test_it_is_near_what_the_processor_is_sold_as_or_runs_at() -> None:
    """Both are only near it: the first is rounded, the second changes."""
    text = Path("/proc/cpuinfo").read_text()
    named = [float(ghz) * 1_000_000 for ghz in re.findall(r"@ ([\d.]+)GHz", text)]
    running = [float(mhz) * 1000 for mhz in re.findall(r"cpu MHz\s*: ([\d.]+)", text)]
    tsc_khz.cache_clear()
    rate = tsc_khz()
    assert rate is not None
    assert any(0.3 < rate / known < 3 for known in (*named, *running))


def test_a_kernel_that_forbids_to_run_written_memory_is_borne(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> mmap.mmap:
        raise PermissionError

    monkeypatch.setattr(mmap, "mmap", refuse)
    tsc_khz.cache_clear()
    assert tsc_khz() is None
    tsc_khz.cache_clear()
