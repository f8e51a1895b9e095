"""Work of the engine that is to be done one job after the other, whichever area is looked at meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from console.connection import Connection
from console.failure import Failure
from console.followed_job import FollowedJob
from engine.api import EngineApi
from engine.errors import VmdeckError
from engine.models import Job, JobState

Begin = Callable[[EngineApi], Awaitable[Job]]


@dataclass(frozen=True, slots=True)
class Build:
    """What is to be made for a language, whose id and title these are."""

    language: str
    title: str
    begin: Begin


class BuildSeries:
    """Of one console: what still waits for its turn is begun only while that is open. ``begun`` are ids of jobs."""

    def __init__(self) -> None:
        self.begun: set[str] = set()
        self._left: list[Build] = []

    @property
    def waiting(self) -> int:
        return len(self._left)

    async def go_on(self, connection: Connection, job: Job, rest: Sequence[Build]) -> Failure | None:
        """Begin each of ``rest`` once the one before it is done, but none for a language that got an image otherwise.
        A job that fails ends the series, and so does a refusal of the engine, which is the answer."""
        self._left = list(rest)
        try:
            while self._left:
                followed = FollowedJob(job)
                await followed.follow(connection)
                if followed.job.state is not JobState.DONE:
                    break
                api = await connection.opened()
                ready = {language.id for language in await api.languages() if language.ready}
                self._left = [build for build in self._left if build.language not in ready]
                if self._left:
                    job = await self._left[0].begin(api)
                    self.begun.add(job.id)
                    del self._left[0]
        except VmdeckError as error:
            first, *others = self._left
            more = f", nor {len(others)} more after it" if others else ""
            message = f"The image of {first.title} was not begun{more}: {error.message}"
            return Failure(error.title, message, error.remedy)
        finally:
            self._left = []
        return None
