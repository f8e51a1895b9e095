"""How a run ended, in words: status, exit code, signal."""

from __future__ import annotations

import signal
from typing import NamedTuple

from console.live_run import LiveRun, Phase
from console.outcomes import CANCELLED, NO_RESULT, outcome
from console.quantities import duration_ms
from engine.models import RunResult

_SIGNALLED = 128


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
        return Ending(CANCELLED.text, CANCELLED.role)
    if run.failure is not None:
        return Ending(f"✗ {run.failure.title}", "error")
    if run.result is None:
        return Ending(NO_RESULT.text, NO_RESULT.role)
    look = outcome(run.result.status)
    return Ending(look.text, look.role)


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
