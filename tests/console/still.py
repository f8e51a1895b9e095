"""The console over a fake engine in which nothing changes, for tests of the process: ``still FILE [deaf|stuck|quick]``.

FILE gets a note when the engine was closed. ``deaf`` ignores SIGHUP; ``stuck`` has an engine that never closes;
``quick`` asks it every QUICK_S seconds.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from console.hangup import HangupWatch
from console.launch import run
from tests.console.fake_engine import FakeEngine, typical

MARK = Path(sys.argv[1])
QUICK_S = 0.2
HABIT = sys.argv[2] if len(sys.argv) > 2 else ""


class DeafWatch(HangupWatch):
    def start(self) -> None:
        super().start()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


@asynccontextmanager
async def _engine(_tell: Callable[[str], None], *, may_start: bool) -> AsyncIterator[FakeEngine]:
    engine = typical()
    engine.job_list = ()
    engine.vm_list = tuple(one.model_copy(update={"age_s": 90_000.0}) for one in engine.vm_list)  # ages stand still
    try:
        yield engine
    finally:
        if HABIT == "stuck":
            await asyncio.Event().wait()
        MARK.write_text("closed")


if __name__ == "__main__":
    if HABIT == "deaf":
        import console.hangup

        console.hangup.HangupWatch = DeafWatch
    sys.exit(run(_engine, tick_s=QUICK_S if HABIT == "quick" else None))
