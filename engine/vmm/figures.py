"""Numbers of a VM as people read them: with a unit, three digits or so."""

from __future__ import annotations

_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int) -> str:
    """Bytes: "512 B", "1.5 KiB", "448 MiB"."""
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if value < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    digits = 0 if value >= 100 or value == int(value) else 1
    return f"{value:.{digits}f} {unit}"


def duration(seconds: float) -> str:
    """ "340 ms", "12.5 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def traffic(count: int, requests: int) -> str:
    """ "1.5 MiB in 48 requests"."""
    return f"{size(count)} in {requests} requests"
