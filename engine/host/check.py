"""What a health check is, and how one is run: within its deadline, and never raising.

The checks themselves are the table in ``checks.py``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from engine import models
from engine.host.finding import Finding, Look, Surroundings, degraded
from engine.models import Severity

QUICK_S = 2.0
_LOOKS_AT_ONCE = 4  # of one check: several ask at a time, and some may be stuck

log = logging.getLogger(__name__)

Probe = Callable[[Surroundings], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check.

    ``remedy`` is what to do where the finding brings none of its own; ``fixed_by`` names a setup step; ``group``
    says what the check is about.
    """

    id: str
    title: str
    probe: Probe
    why: str
    group: str = "host"
    remedy: str = ""
    fixed_by: str | None = None
    deadline_s: float = QUICK_S


def in_thread(look: Look) -> Probe:
    """A check that reads files, as one that lets the others go on meanwhile.

    Each look has a thread of its own, which nobody waits for longer than the check may take: one that a dead disk or
    name service holds up takes no place of other work, nor keeps the program from ending.
    """
    room = threading.BoundedSemaphore(_LOOKS_AT_ONCE)

    async def probe(around: Surroundings) -> Finding:
        if not room.acquire(blocking=False):
            return degraded(f"{_LOOKS_AT_ONCE} earlier looks have not come to an end yet", by_hand=True)
        loop = asyncio.get_running_loop()
        seen: asyncio.Future[Finding] = loop.create_future()

        def work() -> None:
            try:
                finding, error = look(around), None
            except Exception as raised:  # noqa: BLE001 -- raised again where the look is awaited
                finding, error = None, raised
            finally:
                room.release()
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody is left to be told
                loop.call_soon_threadsafe(_tell, seen, finding, error)

        threading.Thread(target=work, name="check", daemon=True).start()
        return await seen

    return probe


def _tell(seen: asyncio.Future[Finding], finding: Finding | None, error: Exception | None) -> None:
    if seen.done():
        return
    if finding is None:
        seen.set_exception(error or RuntimeError("the check found nothing"))
    else:
        seen.set_result(finding)


async def run_check(spec: CheckSpec, around: Surroundings) -> models.Check:
    """One check within its deadline. A check that crashes or is late is a degraded finding that says so."""
    finding = await _finding(spec, around)
    fine = finding.severity in (Severity.OK, Severity.INFO)
    remedy = finding.remedy or ("" if fine else spec.remedy)
    return models.Check(
        id=spec.id,
        title=spec.title,
        severity=finding.severity,
        seen=finding.seen,
        why=spec.why,
        remedy=remedy,
        fixed_by=None if finding.by_hand or (fine and not finding.remedy) else spec.fixed_by,
        group=spec.group,
    )


async def _finding(spec: CheckSpec, around: Surroundings) -> Finding:
    again = "Look again; the log of vmdeck has more."
    try:
        async with asyncio.timeout(spec.deadline_s):
            return await spec.probe(around)
    except TimeoutError:
        return degraded(f"the check came to no end within {spec.deadline_s:g} s", again, by_hand=True)
    except PermissionError as error:
        return degraded(f"this user may not look at {error.filename}", "Run as root.", by_hand=True)
    except Exception as error:
        log.exception("check %s failed", spec.id)
        return degraded(f"the check itself failed: {type(error).__name__}: {error}", again, by_hand=True)
