"""The private folder of one live VM, and the reaping of those that a killed engine left.

A home (0700) under the runtime folder holds notes: ``owner``, the engine that made it, and ``vmm``, its VMM process.
Both are process identities, so the next engine can tell the dead from the living and end what was left. ``elsewhere``
names what the VM has outside its home (a jail, control groups), written before any of it is made.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InternalError, NotReadyError
from engine.host import owner, process
from engine.host.process import ProcessId
from engine.vmm import cgroups
from engine.vmm.quarters import Traces

VMM_NOTE = "vmm"
ELSEWHERE_NOTE = "elsewhere"
_REAP_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class VmHome:
    """One VM's folder. ``create`` makes it, ``remove`` takes it away; both in one owner's hands."""

    path: Path

    @classmethod
    def create(cls, vms_dir: Path, vm_id: str) -> VmHome:
        """Raises NotReadyError where the runtime folder can't be written."""
        home = cls(vms_dir / vm_id)
        try:
            vms_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            home.path.mkdir(mode=0o700)
            owner.claim(home.path)
        except OSError as error:
            raise NotReadyError(
                f"No folder for a VM can be made in {vms_dir}: {error.strerror}",
                remedy="Make the runtime folder writable, or set VMDECK_RUNTIME_DIR to one that is.",
            ) from None
        return home

    def note_vmm(self, pid: int) -> ProcessId:
        """Raises ProcessLookupError where it has ended."""
        noted = ProcessId.of(pid)
        (self.path / VMM_NOTE).write_text(str(noted))
        return noted

    def vmm(self) -> ProcessId | None:
        try:
            return ProcessId.parse((self.path / VMM_NOTE).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def note_elsewhere(self, traces: Traces) -> None:
        if traces == Traces():
            return
        note = {"folders": [str(path) for path in traces.folders], "cgroups": [str(path) for path in traces.cgroups]}
        (self.path / ELSEWHERE_NOTE).write_text(json.dumps(note))

    def elsewhere(self) -> Traces:
        """What was noted; nothing where the note is missing or was not finished, since then nothing was made yet."""
        try:
            note = json.loads((self.path / ELSEWHERE_NOTE).read_text())
        except (FileNotFoundError, ValueError):
            return Traces()
        return Traces(tuple(map(Path, note["folders"])), tuple(map(Path, note["cgroups"])))

    async def clear(self) -> None:
        """All of it: what is noted, with all processes still in its control groups, then the folder, whose note else
        tells the next engine. Idempotent.

        Raises InternalError, OSError.
        """
        await cgroups.until_gone(self.try_to_clear)

    def try_to_clear(self) -> dict[Path, str]:
        """``clear`` without waiting: the groups that stay, and why. Blocks. Raises OSError."""
        traces = self.elsewhere()
        if left := cgroups.try_to_remove(traces.cgroups):
            return left  # folders later: the owner of a jail's tells whose user id is taken
        for folder in traces.folders:
            _remove_tree(folder)
        self.remove()
        return {}

    def remove(self) -> None:
        """The folder alone. Idempotent. Blocks. Raises OSError."""
        _remove_tree(self.path)


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return


async def _end(vmm: ProcessId) -> None:
    if not vmm.kill():
        return
    try:
        async with asyncio.timeout(_REAP_DEADLINE_S):
            await vmm.ended()
    except TimeoutError:
        raise InternalError(
            f"VMM process {vmm.pid} of a dead engine does not end", remedy=f"See what holds it: ps -l {vmm.pid}"
        ) from None


async def reap(vms_dir: Path) -> list[str]:
    """End and remove every VM whose engine is gone; their ids. Raises InternalError naming what would not go."""
    reaped: list[str] = []
    for folder in sorted(vms_dir.iterdir()) if vms_dir.exists() else ():
        holder = owner.owner_of(folder)
        if holder is not None and holder.alive():
            continue
        home = VmHome(folder)
        noted = home.vmm()
        # One that its engine had no time to write down is known by where it works.
        left = [noted] if noted else await asyncio.to_thread(process.working_in, home.path)
        for vmm in left:
            await _end(vmm)
        await home.clear()
        reaped.append(folder.name)
    return reaped
