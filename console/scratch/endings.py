"""How a run ended, in words: status, exit code, signal."""

from __future__ import annotations

import signal
from typing import NamedTuple

from console.live_run import LiveRun, Phase
from console.quantities import duration_ms
from engine.models import RunResult

_SIGNALLED = 128
_STATUSES = {
    "success": ("✓ success", "success"),
    "failed": ("✗ failed", "error"),
    "compile_error": ("✗ does not compile", "error"),
    "timeout": ("✗ timeout", "warning"),
    "memory_limit": ("✗ out of memory", "warning"),
    "output_limit": ("✗ too much output", "warning"),
    "killed": ("✗ killed", "warning"),
}


class Ending(NamedTuple):
    """Words with their sign, and the role that colours them."""

    words: str
    role: str


def ending(run: LiveRun) -> Ending:
    """The state of one run, ended or not, in few words."""
    match run.phase:
        case Phase.IDLE:
            return Ending("○ waits", "muted")
        case Phase.GOING | Phase.CANCELLING:
            return Ending(f"◐ {run.stage or 'sent'}", "accent")
        case Phase.ENDED:
            return _ended(run)


def _ended(run: LiveRun) -> Ending:
    if run.cancelled:
        return Ending("✗ cancelled", "warning")
    if run.failure is not None:
        return Ending(f"✗ {run.failure.title}", "error")
    if run.result is None:
        return Ending("✗ ended without a result", "error")
    return Ending(*_STATUSES[run.result.status])


def exit_words(result: RunResult) -> str:
    """``exit 0``; above 128 the signal by name: ``exit 139, SIGSEGV: Segmentation fault``."""
    code = result.exit_code
    number = code - _SIGNALLED
    if number <= 0 or result.status not in ("failed", "killed"):
        return f"exit {code}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exit {code}"
    about = signal.strsignal(number)
    return f"exit {code}, {name}: {about}" if about else f"exit {code}, {name}"


def full_ending(run: LiveRun) -> Ending:
    """State, exit code and time."""
    words, role = ending(run)
    if run.cancelled:
        words += ", its VM is gone"
    elif run.result is not None:
        words += f"  {exit_words(run.result)}  {duration_ms(run.result.timings.total)}"
    return Ending(words, role)
