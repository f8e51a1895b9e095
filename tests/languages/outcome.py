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
    """What a run says of an error: a compiler's whole output, as some write errors to stdout, else standard error."""
    if result.status == "compile_error" and result.compile:
        return result.compile.stdout + result.compile.stderr
    return result.stderr or ""


def _seen(result: RunResult) -> str:
    parts = [
        f"{result.status} ({result.exit_code})",
        f"stdout {result.stdout[-300:]!r}",
        f"said {complaint(result)[-800:]!r}",
    ]
    return ", ".join(parts)
