"""One hostile program and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent

from engine.models import RunResult, RunStatus

Check = Callable[[RunResult], object]


def _nothing_more(_: RunResult) -> None:
    pass


@dataclass(frozen=True)
class Attack:
    """``code`` is Python; ``fields`` are further ones of RunRequest. ``stdout`` None: not looked at.

    ``check`` asserts what the other fields can't say.
    """

    name: str
    code: str
    status: RunStatus = "success"
    exit_code: int = 0
    stdout: str | None = None
    timeout_s: float = 10
    fields: Mapping[str, object] = field(default_factory=dict)
    check: Check = _nothing_more
    nightly: bool = False

    def source(self) -> str:
        return dedent(self.code).lstrip("\n")


def bash(script: str) -> str:
    """Python code that becomes a bash with that script: the warm VM has one, and need not start two interpreters."""
    return f"import os\nos.execvp('bash', ['bash', '-c', {dedent(script)!r}])\n"
