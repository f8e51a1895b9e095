"""An engine that is going to be killed: starts one jailed QEMU, says when it has come to a stage, and stays there.

Arguments: data folder, runtime folder, the stage.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from engine.backend import Backend
from engine.settings import Settings
from engine.vmm.fleet import VmPurpose
from engine.vmm.home import VmHome
from engine.vmm.qemu_jail import QemuJail
from tests.integration.vmm.clones import python_clone

REACHED = "reached"


def stay() -> None:
    print(REACHED, flush=True)
    threading.Event().wait()


def stay_after_entering() -> None:
    enter = QemuJail.enter

    def entering(self: QemuJail) -> None:
        enter(self)
        stay()

    QemuJail.enter = entering


def stay_before_entering() -> None:
    QemuJail.enter = lambda _: stay()


def stay_before_noting_the_process() -> None:
    VmHome.note_vmm = lambda *_: stay()


STAGES = {
    "its groups are noted": stay_before_entering,
    "its groups are made": stay_after_entering,
    "its process is started": stay_before_noting_the_process,
    "it runs": lambda: None,
}


async def main(data_dir: str, runtime_dir: str, stage: str) -> None:
    settings = Settings(data_dir=Path(data_dir), runtime_dir=Path(runtime_dir), jail="on")
    STAGES[stage]()
    backend = Backend(settings)
    saved = await python_clone(settings, backend)
    async with (await backend.ready()).fleet.restore(saved, VmPurpose("doomed")):
        stay()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
