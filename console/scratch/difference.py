"""Two past runs side by side: their figures, and a unified diff of what they printed."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from console.plain import brief
from console.quantities import duration_ms, size
from console.scratch.endings import ending, exit_words
from console.scratch.past import KeptRun, PastEntry
from engine.models import RunResult

MAX_LINES = 2000
"""Of each output; the algorithm may take quadratic time."""
_CONTEXT = 3
_UNKNOWN = "-"


class FigurePair(NamedTuple):
    name: str
    left: str
    right: str


def figures(left: PastEntry, right: PastEntry) -> list[FigurePair]:
    """Of the first run of each entry, where there are several."""
    ones, others = _figures(left), _figures(right)
    return [FigurePair(name, text, others[name]) for name, text in ones.items()]


def output_difference(left: PastEntry, right: PastEntry) -> list[str]:
    """Lines of a unified diff, none where the outputs are the same; cut with a note beyond the bounds."""
    ones, others = _lines(left), _lines(right)
    names = (f"{left.at:%Y-%m-%d %H:%M:%S}", f"{right.at:%Y-%m-%d %H:%M:%S}")
    found = list(difflib.unified_diff(ones[:MAX_LINES], others[:MAX_LINES], *names, lineterm="", n=_CONTEXT))
    if len(ones) > MAX_LINES or len(others) > MAX_LINES:
        found.append(f"\\ only the first {MAX_LINES} lines were compared")
    return found


def _lines(entry: PastEntry) -> list[str]:
    several = len(entry.runs) > 1
    return [line for run in entry.runs for line in (*((f"[{run.label}]",) if several else ()), *_of_run(run))]


def _of_run(run: KeptRun) -> list[str]:
    lines = [f"({run.dropped} earlier lines are not kept)"] if run.dropped else []
    for stream, text in run.output:
        margin = "err│ " if stream == "stderr" else ""
        lines += [margin + line for line in text.removesuffix("\n").split("\n")]
    return lines


def _figures(entry: PastEntry) -> dict[str, str]:
    run = entry.runs[0] if entry.runs else KeptRun()
    result = run.result
    return {
        "language": brief(entry.request.language),
        "status": ending(run.live()).words,
        "exit": exit_words(result) if result else _UNKNOWN,
        "boot": result.boot if result else _UNKNOWN,
        **_stages(result),
        "cpu": duration_ms(result.usage.cpu_ms) if result else _UNKNOWN,
        "peak memory": size(result.usage.peak_memory_bytes) if result else _UNKNOWN,
    }


def _stages(result: RunResult | None) -> dict[str, str]:
    names = ("queue", "restore", "resync", "exec", "total")
    return {name: duration_ms(getattr(result.timings, name)) if result else _UNKNOWN for name in names}
