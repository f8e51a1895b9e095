"""A snippet and what came of it, as history keeps them: the whole request, the figures, the output within bounds."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from console.failure import Failure
from console.live_run import LiveRun, Phase
from console.outcome import Kind, Outcome, Part
from console.output_log import OutputLog
from engine.models import RunRequest, RunResult

_RANDOM_BYTES = 6


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeptFailure(_Kept):
    title: str
    message: str
    remedy: str


class KeptRun(_Kept):
    """``output`` is (stream, text) in the order it came; ``dropped`` counts earlier lines that were not kept."""

    label: str = ""
    output: tuple[tuple[str, str], ...] = ()
    dropped: int = 0
    result: RunResult | None = Field(default=None, description="without its output")
    failure: KeptFailure | None = None
    cancelled: bool = False

    @classmethod
    def of(cls, run: LiveRun) -> KeptRun:
        failure = run.failure
        return cls(
            label=run.label,
            output=tuple((stream, _encodable(text)) for stream, text in run.log.pieces() if stream != "note"),
            dropped=run.log.dropped,
            result=run.result,
            failure=failure and KeptFailure(title=failure.title, message=failure.message, remedy=failure.remedy),
            cancelled=run.cancelled,
        )

    def live(self) -> LiveRun:
        """As it was when it had ended."""
        run = LiveRun(self.label, OutputLog())
        for stream, text in self.output:
            run.log.write(stream, text)
        run.log.skip(self.dropped)
        run.result = self.result
        run.phase = Phase.ENDED
        run.cancelled = self.cancelled
        if self.failure is not None:
            run.fail(Failure(self.failure.title, self.failure.message, self.failure.remedy))
        return run

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.output)


class PastEntry(_Kept):
    """One outcome of one buffer. ``id`` sorts by time and is the name of its file."""

    version: Literal[1] = 1
    id: str = Field(pattern=r"^[0-9]{20}-[0-9a-f]{12}$")
    at: datetime
    kind: Kind
    request: RunRequest
    runs: tuple[KeptRun, ...]

    @classmethod
    def of(cls, outcome: Outcome, at: datetime) -> PastEntry:
        return cls(
            id=f"{at:%Y%m%d%H%M%S%f}-{secrets.token_hex(_RANDOM_BYTES)}",
            at=at,
            kind=outcome.kind,
            request=outcome.request,
            runs=tuple(KeptRun.of(run) for run in outcome.runs),
        )

    def outcome(self) -> Outcome:
        """The outcome again, to be shown; nothing of it runs."""
        outcome = Outcome(self.kind, self.request, (Part(self.request, tuple(run.live() for run in self.runs)),))
        outcome.phase = Phase.ENDED
        return outcome

    def matches(self, words: str) -> bool:
        """Whether all words are in code, files, input, output, language or status; case does not count."""
        wanted = words.lower().split()
        searched = self._searched() if wanted else ""
        return all(word in searched for word in wanted)

    def _searched(self) -> str:
        request = self.request
        stdin = request.stdin if isinstance(request.stdin, tuple) else (request.stdin or "",)
        parts = [self.kind, request.language, request.code, *request.args, *stdin]
        parts += [text for file in request.files for text in (file.path, file.content)]
        parts += [text for run in self.runs for text in (run.text, _status(run))]
        return "\n".join(parts).lower()


def _encodable(text: str) -> str:
    """Half a surrogate pair is no text that a file can hold."""
    return text.encode(errors="replace").decode()


def _status(run: KeptRun) -> str:
    if run.cancelled:
        return "cancelled"
    if run.failure is not None:
        return f"{run.failure.title} {run.failure.message}"
    return run.result.status if run.result else ""
