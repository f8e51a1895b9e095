"""What ends a setup: a first snippet in a microVM, since only code that ran proves that this host is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.endings import printable
from engine.cli.follow import JobFailedError
from engine.cli.run_code import run_shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.api import EngineApi
    from engine.models import Language

_FIRST = "python"  # the language that setup makes an image for


async def first_run(engine: EngineApi, *, quiet: bool) -> None:
    """Run a language's example and show it, unless ``quiet``; where nothing can run, say why.

    Raises JobFailedError where the code did not end well, and what the engine raises for a run.
    """
    from engine.models import RunRequest

    reason, language = await _blocked(engine), _language(await engine.languages())
    if reason or language is None:
        _tell(f"No first run: {reason or 'there is no image to run code in'}", quiet=quiet)
        return
    _tell(f"A first run, {language.title} in a microVM:", quiet=quiet)
    result = await run_shown(engine, RunRequest(language=language.id, code=language.example), quiet=quiet)
    if result.status != "success":
        raise JobFailedError(
            f"The first run ended with {result.status}, exit code {result.exit_code}", remedy="Run `vmdeck doctor`"
        )
    how = "booted" if result.boot == "cold" else f"restored from its {result.boot}"
    _tell(f"{result.timings.total:.0f} ms in all; its VM was {how} in {result.timings.restore:.0f} ms", quiet=quiet)


async def _blocked(engine: EngineApi) -> str:
    """Why nothing can run; empty where something can."""
    health = await engine.health()
    return health.vmm.reason if health.status == "blocked" else ""


def _language(languages: Sequence[Language]) -> Language | None:
    ready = [one for one in languages if one.ready]
    return min(ready, key=lambda one: (one.id != _FIRST, not one.warm), default=None)


def _tell(text: str, *, quiet: bool) -> None:
    if not quiet:
        print(printable(text), flush=True)
