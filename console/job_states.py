"""How long work stands."""

from __future__ import annotations

from console.states import Look
from engine.models import JobState

JOB_STATES = {
    JobState.RUNNING: Look("●", "running", "accent"),
    JobState.DONE: Look("✓", "done", "success"),
    JobState.FAILED: Look("✗", "failed", "error"),
    JobState.CANCELLED: Look("✗", "cancelled", "warning"),
}
