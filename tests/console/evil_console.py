"""The console in a process of its own over an engine whose every text is evil, for tests of the bytes that it sends."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from console.launch import run
from tests.console.evil import EVIL
from tests.console.evil_samples import evil_engine
from tests.console.fake_engine import FakeEngine

ALL = "".join(EVIL[name] for name in sorted(EVIL, key=lambda name: (name != "markup", len(EVIL[name]))))
"""The mark-up first, so that narrow columns show it."""


@asynccontextmanager
async def _engine(tell: Callable[[str], None], *, may_start: bool) -> AsyncIterator[FakeEngine]:
    tell(ALL)
    yield evil_engine(ALL)


if __name__ == "__main__":
    sys.exit(run(_engine, warnings=(ALL,), tick_s=3600))
