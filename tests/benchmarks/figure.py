"""A measured figure: its samples beside those of the raw baseline, its target, and whether that is met."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

Entry = dict[str, str | float | bool | None]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound: of the median, the p95, or the median's ratio to the baseline's. ``at_least`` makes it a lower one."""

    bound: float
    of_ratio: bool = False
    of_p95: bool = False
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        of = "ratio " if self.of_ratio else "p95 " if self.of_p95 else ""
        return f"{of}{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report. ``meaning`` says what was measured, from when to when."""

    name: str
    unit: str
    meaning: str
    samples: Sequence[float]
    baseline: Sequence[float] = ()
    target: Target | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        """By nearest rank: a sample, never a value between two."""
        return sorted(self.samples)[math.ceil(0.95 * len(self.samples)) - 1]

    @property
    def baseline_median(self) -> float | None:
        return statistics.median(self.baseline) if self.baseline else None

    @property
    def ratio(self) -> float | None:
        return self.median / self.baseline_median if self.baseline_median else None

    @property
    def met(self) -> bool | None:
        """None where there is no target."""
        if self.target is None:
            return None
        value = self.ratio if self.target.of_ratio else self.p95 if self.target.of_p95 else self.median
        return value is not None and self.target.met(value)

    def entry(self) -> Entry:
        """As bench.json has it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "n": len(self.samples),
            "median": round(self.median, 3),
            "p95": round(self.p95, 3),
            "baseline_median": None if self.baseline_median is None else round(self.baseline_median, 3),
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "target": None if self.target is None else self.target.bound,
            "met": self.met,
            "skipped": None,
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line of the report that could not be measured here, and why."""

    name: str
    unit: str
    meaning: str
    reason: str
    target: Target | None = None

    def entry(self) -> Entry:
        """As bench.json has it: with no sample, and the reason."""
        return {
            "name": self.name,
            "unit": self.unit,
            "n": 0,
            **dict.fromkeys(("median", "p95", "baseline_median", "ratio")),
            "target": None if self.target is None else self.target.bound,
            "met": None,
            "skipped": self.reason,
        }
