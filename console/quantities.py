"""Numbers as people read them: steady units and widths, so that nothing jumps when values change."""

from __future__ import annotations

from datetime import datetime

UNKNOWN = "-"
_AGES = ((86400, "d", "h", 3600), (3600, "h", "m", 60), (60, "m", "s", 1))
"""Seconds of a unit, its letter, the letter of the unit below and its seconds."""
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: int | None) -> str:
    """Bytes in three digits at most: ``512 B``, ``1.5 KiB``, ``43 MiB``, ``2.0 GiB``."""
    if count is None:
        return UNKNOWN
    value = float(count)
    unit = 0
    while round(value) >= 1000 and unit < len(_BYTE_UNITS) - 1:
        value /= 1024
        unit += 1
    digits = 1 if unit and round(value, 1) < 10 else 0
    return f"{value:.{digits}f} {_BYTE_UNITS[unit]}"


def mebibytes(count: int | None) -> str:
    """Bytes always in MiB (``43M``), for columns that change while one looks."""
    return UNKNOWN if count is None else f"{count / 1048576:.0f}M"


def rate(bytes_per_s: float | None) -> str:
    """Bytes a second for a narrow column, at most 5 cells: ``0``, ``512``, ``4.1K``, ``43K``, ``1.2M``."""
    if bytes_per_s is None:
        return UNKNOWN
    number, _, unit = size(round(bytes_per_s)).partition(" ")
    return number + unit[0].removeprefix("B")


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f}"


def duration_ms(milliseconds: float) -> str:
    """``0.4 ms``, ``38 ms``, ``1.61 s``, ``2 m 05 s``."""
    if round(milliseconds, 1) < 1:
        return f"{milliseconds:.1f} ms"
    if round(milliseconds) < 1000:
        return f"{milliseconds:.0f} ms"
    if round(milliseconds / 1000, 2) < 60:
        return f"{milliseconds / 1000:.2f} s"
    return age(round(milliseconds / 1000))


def age(seconds: float) -> str:
    """Two units at most: ``12 s``, ``3 m 05 s``, ``4 h 10 m``, ``9 d 02 h``."""
    whole = max(0, int(seconds))
    for length, unit, lower, part in _AGES:
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part:02} {lower}"
    return f"{whole} s"


def short_age(seconds: float) -> str:
    """The first unit of ``age``, for columns: ``12 s``, ``3 m``, ``4 h``, ``9 d``; calm, since it seldom changes."""
    number, unit, *_ = age(seconds).split()
    return f"{number} {unit}"


def ago(seconds: float) -> str:
    """For prose, in one unit, so that it seldom changes: ``under 1 m ago``, ``28 m ago``, ``5 h ago``, ``31 d ago``."""
    minutes = max(0, int(seconds)) // 60
    if minutes < 1:
        return "under 1 m ago"
    if minutes < 60:
        return f"{minutes} m ago"
    return f"{minutes // 60} h ago" if minutes < 1440 else f"{minutes // 1440} d ago"


def moment(at: datetime) -> str:
    """Date and time to the minute, in the zone the engine gave."""
    return at.strftime("%Y-%m-%d %H:%M")


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 VM``, ``3 VMs``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
