"""One job as a viewer follows it: its newest value and its log, each line once, however often the following breaks."""

from __future__ import annotations

from contextlib import aclosing

from console.connection import Connection
from console.output_log import OutputLog
from engine.models import Job, JobState


class FollowedJob:
    """``job`` is the newest value seen; ``log`` holds the lines up to event ``seen``; ``is_whole`` once that is all."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.log = OutputLog()
        self.seen = 0
        self.is_whole = False

    async def follow(self, connection: Connection) -> None:
        """Take events until the job has ended, past losses of the engine. Called again after an error or a
        cancellation it goes on from there. Raises what the engine raises while it is there."""
        following = connection.resumed(
            lambda api, after: api.job_events(self.job.id, after=after), lambda event: event.seq, after=self.seen
        )
        async with aclosing(following) as events:
            async for event in events:
                self.job, self.seen = event.job, event.seq
                if event.line is not None:
                    self.log.line("log", event.line)
        self.is_whole = self.job.state is not JobState.RUNNING
