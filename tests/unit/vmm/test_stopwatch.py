"""The stages of a start follow each other without a gap, whenever each of them became known."""

from __future__ import annotations

import time

import pytest

from engine.vmm.stopwatch import Stopwatch


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def told(stopwatch: Stopwatch) -> list[tuple[str, float]]:
    return [(stage.name, stage.ms) for stage in stopwatch.stages]


def test_a_stage_lasts_from_the_one_before_it(clock: Clock) -> None:
    stopwatch = Stopwatch()
    clock.now_s += 0.25
    stopwatch.mark("spawn")
    clock.now_s += 0.5
    stopwatch.mark("load")
    assert told(stopwatch) == [("spawn", 250), ("load", 500)]


def test_what_is_known_late_falls_where_it_happened(clock: Clock) -> None:
    stopwatch = Stopwatch()
    clock.now_s = 101
    stopwatch.mark("vmm")
    clock.now_s = 104
    stopwatch.mark("resync")
    stopwatch.mark_at("load", 102, after_s=101)
    assert told(stopwatch) == [("vmm", 1000), ("load", 1000), ("resync", 2000)]


@pytest.mark.parametrize("at_s", [-1e12, 50, 1e12])
def test_a_time_that_can_not_be_makes_no_stage_negative(clock: Clock, at_s: float) -> None:
    stopwatch = Stopwatch()
    clock.now_s = 101
    stopwatch.mark("vmm")
    clock.now_s = 104
    stopwatch.mark("resync")
    stopwatch.mark_at("load", at_s, after_s=101)
    assert all(ms >= 0 for _, ms in told(stopwatch))
    assert sum(ms for _, ms in told(stopwatch)) == 4000


def test_what_the_guest_says_of_its_boot_fills_the_end_of_the_wait(clock: Clock) -> None:
    stopwatch = Stopwatch()
    clock.now_s += 10
    stopwatch.mark_guest([("kernel", 3000.0), ("agent", 4000.0)], before="machine", rest="kernel")
    assert told(stopwatch) == [("machine", 6000), ("kernel", 3000), ("agent", 1000)]


@pytest.mark.parametrize("stages", [[("kernel", 60_000.0)], [("kernel", 5.0), ("agent", 4.0)], []])
def test_a_guest_that_tells_what_can_not_be_is_not_believed(clock: Clock, stages: list[tuple[str, float]]) -> None:
    stopwatch = Stopwatch()
    clock.now_s += 10
    stopwatch.mark_guest(stages, before="machine", rest="kernel")
    assert told(stopwatch) == [("kernel", 10_000)]
