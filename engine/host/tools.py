"""Checks of the programs that vmdeck drives."""

from __future__ import annotations

import shutil

from engine.errors import NotReadyError
from engine.host.finding import Finding, Surroundings, blocked, degraded, ok
from engine.host.programs import qemu_program


async def qemu(around: Surroundings) -> Finding:
    try:
        program = await qemu_program(around.settings, around.machine)
    except NotReadyError as error:
        return blocked(error.message, error.remedy)
    return ok(f"{program.version} at {program.path}, accelerators: {', '.join(sorted(program.accelerators))}")


def mmdebstrap(_around: Surroundings) -> Finding:
    found = shutil.which("mmdebstrap")
    return ok(found) if found else degraded("not on PATH; images can't be built from Debian packages")
