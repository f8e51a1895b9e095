"""Jobs with all that they may tell of themselves."""

from __future__ import annotations

from tests.console.samples import JOBS

RUNNING, FAILED, DONE = JOBS
DOWNLOADING = RUNNING.model_copy(update={"rate": "3.1 MiB/s", "remaining_s": 47.0})
REPEATABLE = FAILED.model_copy(update={"retryable": True})
REPEATED = FAILED.model_copy(update={"retry_of": "j0"})
EACH = (DOWNLOADING, REPEATABLE, DONE)
