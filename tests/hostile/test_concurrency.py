"""Many callers at once on few cores: each gets its own answer, the excess is told to come back."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from engine.engine import Engine
from engine.errors import BusyError
from engine.models import RunResult
from engine.settings import Settings
from tests.running import run_python

pytestmark = pytest.mark.vm
CALLERS = 50
QUEUE = 38
EXTRA_MEMORY = 64 * 1024 * 1024


async def test_fifty_at_once_get_their_own_output_or_a_refusal(lab: Settings) -> None:
    settings = lab.model_copy(update={"max_running": 2, "max_queued": QUEUE})
    process = psutil.Process()
    async with Engine(settings) as engine:
        await run_python(engine, "pass")
        before = process.memory_info().rss
        outcomes = await asyncio.gather(
            *(run_python(engine, f"print('token-{caller}')") for caller in range(CALLERS)), return_exceptions=True
        )
        grown = process.memory_info().rss - before
        assert not await engine.vms()
    answered = {caller: each for caller, each in enumerate(outcomes) if isinstance(each, RunResult)}
    refused = [each for each in outcomes if isinstance(each, BusyError)]
    assert len(answered) + len(refused) == CALLERS, [each for each in outcomes if isinstance(each, Exception)][:3]
    assert len(answered) == QUEUE + settings.max_running
    for caller, result in answered.items():
        assert (result.status, result.stdout) == ("success", f"token-{caller}\n")
    assert len({result.vm.id for result in answered.values()}) == len(answered)
    assert all(refusal.retry_after_s >= 1 for refusal in refused)
    assert grown < EXTRA_MEMORY
