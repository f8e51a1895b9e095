"""One engine for all hostile programs of a module: each run has a VM of its own anyway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from engine.engine import Engine
from engine.settings import Settings
from tests.lab import made_lab


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_engine(prepared: Settings) -> AsyncIterator[Engine]:
    with made_lab(prepared) as settings:
        async with Engine(settings) as engine:
            yield engine
