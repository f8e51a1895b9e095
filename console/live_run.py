"""One run from the console's side: takes the engine's events as they come and keeps what is worth showing.

It draws nothing; the scratchpad looks at it a few times a second. Floods cost no more than the log's bounds.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING

from console.failure import Failure
from console.output_log import OutputLog

if TYPE_CHECKING:
    from engine.models import RunEvent, RunResult


class Phase(StrEnum):
    IDLE = "idle"
    GOING = "going"
    CANCELLING = "cancelling"
    ENDED = "ended"


class LiveRun:
    """``stage`` in the engine's words, ``log`` of both streams, then ``result`` (without its output) or ``failure``."""

    def __init__(self, label: str = "", log: OutputLog | None = None) -> None:
        self.label = label
        self.log = log or OutputLog()
        self.phase = Phase.IDLE
        self.stage = ""
        self.result: RunResult | None = None
        self.failure: Failure | None = None
        self.cancelled = False
        self._digests = {stream: hashlib.blake2b(digest_size=16) for stream in ("stdout", "stderr")}

    @property
    def digest(self) -> str:
        """Same for two runs exactly where both streams are the same."""
        return "".join(digest.hexdigest() for digest in self._digests.values())

    def take(self, event: RunEvent) -> None:
        self.phase = Phase.GOING
        match event.kind:
            case "stdout" | "stderr":
                self.log.write(event.kind, event.text)
                self._digests[event.kind].update(event.text.encode(errors="surrogatepass"))
            case "queued":
                self.stage = "queued"
            case "stage":
                self.stage = event.text
            case "result":
                # The log has what is shown of the output; the result's own copy may be of 64 MiB.
                self.result = event.result and event.result.model_copy(update={"stdout": "", "stderr": None})
                self.phase = Phase.ENDED

    def fail(self, failure: Failure) -> None:
        """It ended in an error of ours; the log says so too."""
        self.failure = failure
        self.phase = Phase.ENDED
        for text in (failure.message, failure.remedy):
            if text:
                self.log.line("note", text)

    def cancel(self) -> None:
        self.cancelled = True
        self.phase = Phase.ENDED
