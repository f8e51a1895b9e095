"""An engine that is going to be killed: starts one VM, says when it has come to a stage, and stays there.

Arguments: the four paths of a Lab, its parent control group, "jailed" or "open", the stage.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine.vmm.firecracker_api import Endpoint, FirecrackerApi
from tests.integration.vmm.lab import Lab

REACHED = "reached"


async def main(lab: Lab, quarters: str, stage: str) -> None:
    send = FirecrackerApi.send

    async def halting(self: FirecrackerApi, endpoint: Endpoint, body: dict) -> None:
        if endpoint.path == stage:
            await stay()
        await send(self, endpoint, body)

    FirecrackerApi.send = halting
    await lab.driver(jailed=quarters == "jailed").boot("orphan", lab.spec())
    await stay()


async def stay() -> None:
    print(REACHED, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:5]]
    asyncio.run(main(Lab(*paths, cgroup_prefix=sys.argv[5]), *sys.argv[6:8]))
