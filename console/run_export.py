"""Writes past runs into a file of this host, as CSV or JSON by its name. A file is there whole, or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from engine.errors import ConflictError, NotReadyError
from engine.models import RunEntry
from engine.models.run_table import csv_header, csv_rows
from engine.printable import printable_json


@dataclass(frozen=True, slots=True)
class _Format:
    head: Callable[[], str]
    rows: Callable[[Iterable[RunEntry]], str]
    between: str = ""
    tail: str = ""


FORMATS = {
    ".csv": _Format(csv_header, csv_rows),
    ".json": _Format(
        lambda: "[\n",
        lambda entries: ",\n".join(printable_json(entry.model_dump_json()) for entry in entries),
        ",\n",
        "\n]\n",
    ),
}
"""By the suffix of the file."""


async def export(pages: AsyncIterable[Sequence[RunEntry]], to: Path, *, overwrite: bool = False) -> int:
    """How many runs were written. Raises ConflictError where ``to`` exists and is not to be overwritten, NotReadyError
    where it can't be written, and what ``pages`` raise."""
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        try:
            with await asyncio.to_thread(_new, part) as file:
                written = await _write(pages, file, FORMATS[to.suffix])
            await asyncio.to_thread(os.replace if overwrite else os.link, part, to)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)
    except FileExistsError:
        raise ConflictError(f"{to} exists", remedy="Choose another name, or agree to overwrite it") from None
    except OSError as error:
        raise NotReadyError(f"{to} can't be written: {error.strerror}", remedy="Choose another place") from None
    return written


def _new(path: Path) -> TextIO:
    return open(path, "w", newline="", opener=lambda name, flags: os.open(name, flags, 0o600))


async def _write(pages: AsyncIterable[Sequence[RunEntry]], file: TextIO, form: _Format) -> int:
    written = 0
    await asyncio.to_thread(file.write, form.head())
    async for page in pages:
        if page:
            between = form.between if written else ""
            await asyncio.to_thread(lambda page=page, between=between: file.write(between + form.rows(page)))
            written += len(page)
    await asyncio.to_thread(file.write, form.tail)
    return written
