"""How a run ended."""

from __future__ import annotations

from console.states import Look

_OUTCOMES = {
    "success": Look("✓", "success", "success"),
    "failed": Look("✗", "failed", "error"),
    "compile_error": Look("✗", "compile error", "error"),
    "timeout": Look("✗", "timeout", "warning"),
    "memory_limit": Look("✗", "out of memory", "warning"),
    "output_limit": Look("✗", "too much output", "warning"),
    "killed": Look("✗", "killed", "warning"),
}
CANCELLED = Look("✗", "cancelled", "warning")
NO_RESULT = Look("✗", "ended without a result", "error")


def outcome(name: str) -> Look:
    """Of a RunStatus, or of the kind of error that came instead of a result."""
    return _OUTCOMES.get(name) or Look("!", name, "error")
