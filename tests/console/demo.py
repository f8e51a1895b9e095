"""The console over the fake engine, to look at by hand: ``python -m tests.console.demo [empty|typical|full]``.

The fake VMs change as they would in life, and a run takes a few seconds.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from console.launch import run
from engine.models import RunEvent, RunRequest, VmState
from tests.console.fake_engine import STATES, FakeEngine
from tests.console.samples import result


async def _slow_run(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
    yield RunEvent(kind="stage", trace_id="r-1", at_ms=1, text="restoring", vm_id="vm-0a31")
    await asyncio.sleep(0.5)
    yield RunEvent(kind="stage", trace_id="r-1", at_ms=500, text="running", vm_id="vm-0a31")
    lines = 200_000 if "flood" in request.code else 5
    for number in range(lines):
        if lines == 5:
            await asyncio.sleep(0.5)
        stream = "stderr" if number % 3 == 2 else "stdout"
        yield RunEvent.model_construct(kind=stream, text=f"tick {number} args {request.args}\n")
    yield RunEvent(kind="result", trace_id="r-1", at_ms=3000, result=result())


async def _live(engine: FakeEngine) -> None:
    chance = random.Random(7)  # noqa: S311  no secrets here
    while True:
        await asyncio.sleep(1)
        engine.cpu_percent = max(0.0, min(100.0, engine.cpu_percent + chance.uniform(-12, 12)))
        engine.vm_list = tuple(
            one.model_copy(
                update={
                    "age_s": one.age_s + 1,
                    "cpu_percent": chance.uniform(0, 99) if one.state is VmState.RUNNING else one.cpu_percent,
                }
            )
            for one in engine.vm_list
        )


@asynccontextmanager
async def _engine(_tell: Callable[[str], None], *, may_start: bool) -> AsyncIterator[FakeEngine]:
    engine = STATES[sys.argv[1] if len(sys.argv) > 1 else "typical"]()
    engine.script = _slow_run
    life = asyncio.create_task(_live(engine))
    try:
        async with engine.context():
            yield engine
    finally:
        life.cancel()


if __name__ == "__main__":
    sys.exit(run(_engine))
