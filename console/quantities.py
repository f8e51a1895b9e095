"""Numbers as people read them: steady units and widths, so that nothing jumps when values change."""

from __future__ import annotations

from datetime import datetime

UNKNOWN = "-"
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: int | None) -> str:
    """Bytes: ``512 B``, ``1.5 KiB``, ``43 MiB``, ``2.0 GiB``."""
    if count is None:
        return UNKNOWN
    value = float(count)
    unit = 0
    while value >= 1000 and unit < len(_BYTE_UNITS) - 1:
        value /= 1024
        unit += 1
    digits = 1 if unit and value < 10 else 0
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
    if milliseconds < 1:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.2f} s"
    return age(milliseconds / 1000)


def age(seconds: float) -> str:
    """Two units at most: ``12 s``, ``3 m 05 s``, ``4 h 10 m``, ``9 d 2 h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def short_age(seconds: float) -> str:
    """``age`` for a narrow column, calmer the older: ``12s``, ``3m05s``, ``24m``, ``4h10m``, ``9d02h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if 600 <= whole < 3600:
        return f"{whole // 60}m"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def moment(at: datetime) -> str:
    """Date and time to the minute, in the zone the engine gave."""
    return at.strftime("%Y-%m-%d %H:%M")


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 VM``, ``3 VMs``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
