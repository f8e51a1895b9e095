"""The scratchpad in a test: a console that shows it, its fields, its runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from textual.widgets import Input, TextArea

from console.live_run import Phase
from console.outcome import Outcome
from console.screens.scratchpad import ScratchpadScreen
from console.widgets.choice_field import ChoiceField
from engine.models import RunEvent, RunRequest
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import FakeEngine
from tests.console.samples import result


def scratchpad(driven: Driven) -> ScratchpadScreen:
    screen = driven.app.screen
    assert isinstance(screen, ScratchpadScreen)
    return screen


def typed(driven: Driven, field: str) -> Input | TextArea | ChoiceField:
    """The form's field of that name."""
    return scratchpad(driven).form.field(field).entry


def outcome(driven: Driven) -> Outcome:
    found = scratchpad(driven).desk.outcome
    assert found is not None
    return found


@asynccontextmanager
async def in_scratchpad(engine: FakeEngine, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driven]:
    """A console that shows the scratchpad with its buffers and languages there."""
    app = console(engine)
    copied: list[tuple[str, str]] = []
    app.copy = lambda text, what: copied.append((text, what))
    app.copied = copied
    async with driving(app, size) as driven:
        await driven.mode("5", "^t")
        await driven.until(lambda: scratchpad(driven).languages, "languages")
        await driven.until(lambda: scratchpad(driven)._restored.is_set(), "buffers of earlier")
        yield driven


async def run(driven: Driven) -> None:
    """Run what is in the buffer, to its end."""
    before = scratchpad(driven).desk.outcome
    await driven.press("ctrl+r")
    await driven.until(lambda: scratchpad(driven).desk.outcome is not before, "a run")
    await driven.until(lambda: outcome(driven).phase is Phase.ENDED, "its end")
    await driven.pilot.pause()


async def echo(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
    """Prints its code and input; each item of a batch is a run; cold boots take longer; ``fail`` as input fails."""
    stdins = request.stdin if isinstance(request.stdin, tuple) else (request.stdin or "",)
    for item, stdin in enumerate(stdins):
        yield RunEvent(kind="stage", trace_id="r-1", at_ms=1, text="running", vm_id="vm-1", item=item)
        yield RunEvent(kind="stdout", trace_id="r-1", at_ms=2, text=f"{request.code} got {stdin!r}\n", item=item)
        failed = stdin.strip() == "fail"
        done = result(
            status="failed" if failed else "success",
            exit_code=3 if failed else 0,
            boot="cold" if request.boot == "cold" else "snapshot",
            timings={"queue": 1, "restore": 4100 if request.boot == "cold" else 120, "exec": 30, "total": 4200},
        )
        yield RunEvent(kind="result", trace_id="r-1", at_ms=3, result=done, item=item)
