"""How a check of the host stands, the worst first; the words are those of ``vmdeck doctor`` and the documentation."""

from __future__ import annotations

from console.states import Look
from engine.states import Severity

SEVERITIES = {
    Severity.BLOCKED: Look("✗", "blocked", "error"),
    Severity.DEGRADED: Look("!", "degraded", "warning"),
    Severity.INFO: Look("·", "info", "muted"),
    Severity.OK: Look("✓", "ok", "success"),
}
WORST_FIRST = tuple(SEVERITIES)
