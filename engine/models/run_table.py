"""Past runs as a table for other programs: names of columns, and the CSV that spreadsheets open without harm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from engine.models.past import RunEntry
from engine.models.runs import Timings
from engine.printable import printable

_TIMINGS = tuple(Timings.model_fields)
_PLAIN = tuple(name for name in RunEntry.model_fields if name != "timings")
COLUMNS = (*_PLAIN, *(f"{stage}_ms" for stage in _TIMINGS))
_FORMULA_SIGNS = ("=", "+", "-", "@")


def csv_header() -> str:
    return _csv([COLUMNS])


def csv_rows(entries: Iterable[RunEntry]) -> str:
    """A line for each run. Text that a spreadsheet would take for a formula gets an apostrophe before it, and control
    characters are shown, not kept: the text may be printed to a terminal."""
    return _csv(_cells(entry) for entry in entries)


def _cells(entry: RunEntry) -> list[object]:
    values = entry.model_dump(mode="json")
    timings = values.pop("timings") or dict.fromkeys(_TIMINGS)
    return [_harmless(value) for value in (*values.values(), *timings.values())]


def _harmless(value: object) -> object:
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return f"'{shown}" if shown.startswith(_FORMULA_SIGNS) else shown


def _csv(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
