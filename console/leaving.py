"""What ends with the console, and what its engine goes on with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.plain import brief
from engine.errors import VmdeckError
from engine.states import JobState

if TYPE_CHECKING:
    from engine.api import EngineApi

_ASK_JOBS_S = 1.0


@dataclass(frozen=True)
class Leaving:
    """What leaving now would do."""

    question: str
    """Empty where nothing ends, so that nothing is to be asked."""
    farewell: str
    """For the terminal, once the console is gone; empty where nothing goes on."""

    @classmethod
    async def now(cls, api: EngineApi | None, ends: Sequence[str]) -> Leaving:
        """What ``ends`` with the console is asked about; what the engine goes on with is told."""
        going = await _running_jobs(api)
        farewell = "\n".join(["vmdeck: the engine goes on with", *going]) if going else ""
        if not ends:
            return cls("", farewell)
        return cls("\n".join(["This ends:", *(f"  {each}" for each in ends), *_goes_on(going)]), farewell)


def _goes_on(going: Sequence[str]) -> list[str]:
    return ["", "This goes on in the engine:", *going] if going else []


async def _running_jobs(api: EngineApi | None) -> list[str]:
    """Titles of jobs under way; an engine that does not answer in time is not waited for."""
    if api is None:
        return []
    try:
        async with asyncio.timeout(_ASK_JOBS_S):
            jobs = await api.jobs()
    except (VmdeckError, TimeoutError):
        return []
    return [f"  {brief(job.title)}" for job in jobs if job.state is JobState.RUNNING]
