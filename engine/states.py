"""States that front ends tell apart by sign and colour. They are apart from the public types that hold them, which
take pydantic's import: a tenth of a second that a first paint need not wait for.
"""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    OK = "ok"
    INFO = "info"
    DEGRADED = "degraded"
    BLOCKED = "blocked"


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
