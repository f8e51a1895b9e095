"""How lists of values are printed: as a table for people or as JSON for programs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from engine.cli.endings import printable

T = TypeVar("T")

Columns = Mapping[str, Callable[[T], object]]
"""Headings, and what each shows of a value."""


def show(values: Sequence[T], columns: Columns[T], *, as_json: bool, empty: str) -> None:
    """Print ``values``, one a line, with a column per entry of ``columns``; ``empty`` says that there are none."""
    if as_json:
        show_json(values)
        return
    if not values:
        print(empty)
        return
    rows = [tuple(columns), *(tuple(printable(str(cell(value))) for cell in columns.values()) for value in values)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    for row in rows:
        print("  ".join(itertools.starmap(str.ljust, zip(row, widths, strict=True))).rstrip())


def show_json(value: object) -> None:
    from pydantic_core import to_json

    print(to_json(value, indent=2).decode())


def size(count: int) -> str:
    """Bytes, for people."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
