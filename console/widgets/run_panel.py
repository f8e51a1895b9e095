"""Runs of the last hour in figures, long work under way, and what failed last: as many failures as there are rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content

from console.outcomes import outcome
from console.plain import brief
from console.quantities import UNKNOWN, count, duration_ms, short_age
from console.shares import share
from console.widgets.text_lines import TextLines
from engine.states import JobState

if TYPE_CHECKING:
    from engine.models import Job, RunEntry, RunStats

_LABEL = 9
_LEAST_PER_MINUTE = 0.05
"""What one decimal shows as more than nothing."""
_AGE = 6
_LANGUAGE = 12
_OUTCOME = 14


@dataclass(frozen=True, slots=True)
class RunFigures:
    """None for what has not been answered yet, REFUSED for what this caller may not ask."""

    stats: RunStats | str | None = None
    failures: Sequence[RunEntry] | str | None = None
    jobs: Sequence[Job] | None = None


class RunPanel(TextLines):
    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._figures = RunFigures()
        self._now: datetime | None = None

    def show(self, figures: RunFigures, now: datetime) -> None:
        self._figures = figures
        self._now = now
        self.draw(self._drawn())

    def on_resize(self, event: events.Resize) -> None:
        self.draw(self._drawn())

    def _drawn(self) -> list[Content]:
        lines = [_labelled("Runs", self._runs()), _labelled("Jobs", self._jobs())]
        failed = self._failed()
        rows = max(1, self.size.height - len(lines))
        labels = ["Failed", *[""] * (rows - 1)]
        return [*lines, *(_labelled(label, line) for label, line in zip(labels, failed, strict=False))]

    def _runs(self) -> Content:
        stats = self._figures.stats
        if stats is None or isinstance(stats, str):
            return Content.styled(stats or "…", "$muted")
        hour = f"in {stats.window_s / 60:.0f} min"
        if not stats.runs:
            return Content.styled(f"none {hour}", "$muted")
        return Content.assemble(
            "under 0.1" if stats.per_minute < _LEAST_PER_MINUTE else f"{stats.per_minute:.1f}",
            ("/min  p50 ", "$muted"),
            _milliseconds(stats.total.p50),
            ("  p95 ", "$muted"),
            _milliseconds(stats.total.p95),
            ("  ", ""),
            (f"{stats.failed} of {stats.runs} failed", "$warning" if stats.failed else "$muted"),
            (f" {hour}  restore p50 ", "$muted"),
            _milliseconds(stats.restore.p50),
        )

    def _jobs(self) -> Content:
        jobs = self._figures.jobs
        running = [job for job in jobs or () if job.state is JobState.RUNNING]
        if not running:
            return Content.styled("…" if jobs is None else "none running", "$muted")
        job = running[0]
        more = f" and {count(len(running) - 1, 'more', 'more')}" if len(running) > 1 else ""
        reached = share(job.fraction)
        far = "" if reached is None else f" {reached * 100:.0f} %"
        return Content.assemble(
            ("● ", "$accent"), f"{brief(job.title, 60)}{far}{more}", (f"  {brief(job.step)}", "$muted")
        )

    def _failed(self) -> list[Content]:
        failures = self._figures.failures
        if failures is None or isinstance(failures, str):
            return [Content.styled(failures or "…", "$muted")]
        if not failures:
            return [Content.styled("none", "$muted")]
        return [self._failure(entry) for entry in failures]

    def _failure(self, entry: RunEntry) -> Content:
        ago = short_age((self._now - entry.at).total_seconds()) if self._now is not None else UNKNOWN
        look = outcome(entry.outcome)
        return Content.assemble(
            (f"{ago:>{_AGE}} ago  ", "$muted"),
            f"{brief(entry.language, _LANGUAGE):<{_LANGUAGE + 1}} ",
            (f"{look.sign} {brief(look.word, _OUTCOME):<{_OUTCOME + 1}} ", f"${look.role}"),
            brief(entry.trace_id, 40),
            (f"  {brief(entry.error or '')}", "$muted"),
        )


def _labelled(label: str, line: Content) -> Content:
    return Content.assemble((f" {label:<{_LABEL}}", "$muted"), line)


def _milliseconds(value: float | None) -> str:
    return UNKNOWN if value is None else duration_ms(value)
