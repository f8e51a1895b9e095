"""Ending VMs that the operator has agreed to end: what is asked before, and what is told after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from console.quantities import count
from engine.api import EngineApi
from engine.errors import NotFoundError
from engine.models import Vm

_AT_ONCE = 8
_NAMED = 6


def consequence(vms: Sequence[Vm]) -> str:
    """What ending them ends too; the first are named."""
    if len(vms) == 1:
        vm = vms[0]
        return f"The run {vm.trace_id} in it ends as killed." if vm.trace_id else f"It was started for: {vm.purpose}."
    named = ", ".join(vm.id for vm in vms[:_NAMED]) + (" …" if len(vms) > _NAMED else "")
    runs = sum(vm.trace_id is not None for vm in vms)
    return f"{named}\n{count(runs, 'run')} in them {'ends' if runs == 1 else 'end'} as killed."


async def kill(api: EngineApi, vm_ids: Sequence[str]) -> str:
    """End them, a few at a time, and say what came of it. Raises the first error once all were tried.

    Of many, those that have ended by themselves meanwhile are only counted; a single one raises NotFoundError.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(vm_id: str) -> None:
        async with places:
            await api.kill_vm(vm_id)

    answers = await asyncio.gather(*(one(vm_id) for vm_id in vm_ids), return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    gone = [error for error in errors if isinstance(error, NotFoundError)] if len(vm_ids) > 1 else []
    if failed := [error for error in errors if error not in gone]:
        raise failed[0]
    if len(vm_ids) == 1:
        return f"VM {vm_ids[0]} was killed."
    ended = f"; {len(gone)} had ended already" if gone else ""
    return f"{count(len(vm_ids) - len(gone), 'VM')} {'was' if len(vm_ids) - len(gone) == 1 else 'were'} killed{ended}."
