"""The command line over the fake engine as a program of its own, for tests that send it signals or close its pipes."""

from __future__ import annotations

import sys

from engine.cli import main
from tests.unit.cli.conftest import attach
from tests.unit.fake_engine import FakeEngine


class LoudEngine(FakeEngine):
    """Says on stderr when a run's iterator was closed."""

    async def _count(self, by: int) -> None:
        await super()._count(by)
        if by < 0:
            print("closed", file=sys.stderr, flush=True)


sys.modules["engine.attach"] = attach(LoudEngine())
main()
