"""Work of the engine that is to be done one job after the other, whichever area is looked at meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from console.connection import Connection
from console.followed_job import FollowedJob
from engine.api import EngineApi
from engine.models import Job, JobState

Begin = Callable[[EngineApi], Awaitable[Job]]


class BuildSeries:
    """Of one console: what still waits for its turn is begun only while that is open."""

    def __init__(self) -> None:
        self.waiting = 0

    async def go_on(self, connection: Connection, job: Job, rest: Sequence[Begin]) -> None:
        """Begin each of ``rest`` once the one before it is done; one that is not ends the series. Raises what the
        engine raises."""
        self.waiting = len(rest)
        try:
            for begin in rest:
                followed = FollowedJob(job)
                await followed.follow(connection)
                if followed.job.state is not JobState.DONE:
                    return
                job = await begin(await connection.opened())
                self.waiting -= 1
        finally:
            self.waiting = 0
