"""Whether a run of one of a language's examples was as its row says."""

from __future__ import annotations

from engine.languages.catalogue import Recipe
from engine.models import RunResult


class NotProvenError(Exception):
    """An example, or what it needs, was not as it should be; says what was seen."""


def expect_output(what: str, result: RunResult, expected: str) -> None:
    """Raises NotProvenError unless the run ended well and printed exactly ``expected``."""
    if (result.status, result.stdout) != ("success", expected):
        raise NotProvenError(f"{what} was to print {expected!r}, but {_seen(result)}")


def expect_error(recipe: Recipe, result: RunResult) -> None:
    """Raises NotProvenError unless the run failed as the row's error example says, and said so."""
    example = recipe.error
    assert example is not None
    if result.status != example.status or example.says not in complaint(result):
        raise NotProvenError(f"error was to be {example.status} and say {example.says!r}, but {_seen(result)}")


def complaint(result: RunResult) -> str:
    """All that the failed step wrote: some languages tell their errors on standard output."""
    if result.status == "compile_error" and result.compile:
        return result.compile.stdout + result.compile.stderr
    return result.stdout + (result.stderr or "")


def _seen(result: RunResult) -> str:
    return f"{result.status} ({result.exit_code}), stdout {result.stdout[-300:]!r}, all {complaint(result)[-800:]!r}"
