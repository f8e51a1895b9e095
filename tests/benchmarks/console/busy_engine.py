"""An engine on a unix socket whose VMs change as in life: ``busy_engine SOCKET VMS``.

Nothing runs in it: what is measured is the console, which attaches to it as to any other. 30% of the VMs have other
figures each time it is asked; the newest question's time stands in the first VM's run, as milliseconds of the
monotonic clock, so that a reader of the screen can tell how old it is.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.http.server import running_server
from engine.http.sockets import unix_socket
from engine.models import HostMetrics, RunEvent, RunRequest, Vm, VmState
from engine.settings import Settings
from guest.protocol import CHUNK
from tests.console.fake_engine import FakeEngine
from tests.console.samples import result, vm

CHANGING = 0.3
FLOOD_BYTES = 200_000_000
KEPT_BYTES = 50_000_000
STAMP = "@"
STAMP_WRAPS_MS = 16**7  # seven digits: the narrowest column that it stands in has eight cells


async def flood(_engine: FakeEngine, _request: RunRequest) -> AsyncGenerator[RunEvent]:
    """FLOOD_BYTES of output as fast as they are taken, in pieces as the agent's, and a result as long as one may be."""
    line = "0123456789" * 9 + "012345678\n"
    piece = line * (CHUNK // len(line))
    for _ in range(FLOOD_BYTES // len(piece)):
        yield RunEvent.model_construct(kind="stdout", trace_id="flood", at_ms=1, text=piece, phase="run", item=0)
    done = result().model_copy(update={"stdout": piece * (KEPT_BYTES // len(piece))})
    yield RunEvent(kind="result", trace_id="flood", at_ms=2, result=done)


@dataclass
class BusyEngine(FakeEngine):
    """``typical`` apart from its VMs, which are hours old, so that the others show the same age for a minute."""

    def __post_init__(self) -> None:
        self.script = flood
        self.chance = random.Random(7)  # noqa: S311  no secrets here

    def populate(self, count: int) -> None:
        born = datetime.now(UTC) - timedelta(hours=30)
        update = {"state": VmState.RUNNING, "started": born, "age_s": 30 * 3600.0}
        self.vm_list = tuple(vm(number).model_copy(update=update) for number in range(count))

    async def vms(self) -> Sequence[Vm]:
        await self._answer("vms")
        changing = set(self.chance.sample(range(len(self.vm_list)), round(CHANGING * len(self.vm_list))))
        self.vm_list = tuple(
            self._changed(one) if number in changing else one for number, one in enumerate(self.vm_list)
        )
        if not self.vm_list:
            return ()
        stamp = f"{STAMP}{round(time.monotonic() * 1000) % STAMP_WRAPS_MS:07x}"
        return (self.vm_list[0].model_copy(update={"trace_id": stamp}), *self.vm_list[1:])

    def _changed(self, one: Vm) -> Vm:
        figures = {
            "cpu_percent": self.chance.uniform(0, 99),
            "memory_private_bytes": self.chance.randrange(20, 200) * 1024 * 1024,
            "memory_shared_bytes": self.chance.randrange(60, 100) * 1024 * 1024,
        }
        return one.model_copy(update=figures)

    async def metrics(self) -> HostMetrics:
        """The same each time: what changes here are the VMs."""
        return await super().metrics()


async def main(socket: Path, count: int) -> None:
    engine = BusyEngine()
    engine.populate(count)
    with unix_socket(socket) as listener:
        async with running_server(engine, Settings(), listener, trusted=True) as server:
            print("ready", flush=True)
            await server


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
