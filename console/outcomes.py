"""How a run ended, as a sign and a word."""

from __future__ import annotations

from console.widgets.line_table import Cell

_OUTCOMES = {
    "success": Cell("✓ success", "ok"),
    "failed": Cell("✗ failed", "error"),
    "compile_error": Cell("✗ compile error", "error"),
    "timeout": Cell("✗ timeout", "warning"),
    "memory_limit": Cell("✗ out of memory", "warning"),
    "output_limit": Cell("✗ too much output", "warning"),
    "killed": Cell("✗ killed", "warning"),
}


def outcome_cell(outcome: str) -> Cell:
    """Of a RunStatus, or of the kind of error that came instead of a result."""
    return _OUTCOMES.get(outcome) or Cell(f"! {outcome}", "error")
