"""The console in a process of its own over an engine whose every text is evil, for tests of the bytes that it sends."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from console.launch import run
from engine.models import RunEvent, RunRequest
from tests.console.evil import EVIL
from tests.console.evil_samples import evil_engine, evil_output
from tests.console.fake_engine import FakeEngine

MOST = 2_000
"""Characters of each, so that an output with all of them can still be copied."""

ALL = "".join(EVIL[name][:MOST] for name in sorted(EVIL, key=lambda name: (name != "markup", len(EVIL[name]))))
"""The mark-up first, so that narrow columns show it."""


@asynccontextmanager
async def _engine(tell: Callable[[str], None], *, may_start: bool) -> AsyncIterator[FakeEngine]:
    tell(ALL)
    engine = evil_engine(ALL)
    engine.script = _output
    yield engine


async def _output(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
    async for event in evil_output(engine, request):
        yield event.model_copy(update={"text": f"{event.text[:MOST]}\n"}) if len(event.text) > MOST else event


if __name__ == "__main__":
    sys.exit(run(_engine, warnings=(ALL,), tick_s=3600))
