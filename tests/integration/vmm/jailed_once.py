"""An engine that starts one jailed VM and ends it. Arguments: the four paths of a Lab, its parent control group."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.vmm.lab import Lab


async def main(lab: Lab) -> None:
    vm = await lab.driver(jailed=True).boot("once", lab.spec())
    try:
        print(vm.usage() is not None, flush=True)
    finally:
        await vm.destroy()
    print(lab.remains("once"))


if __name__ == "__main__":
    asyncio.run(main(Lab(*map(Path, sys.argv[1:5]), cgroup_prefix=sys.argv[5])))
