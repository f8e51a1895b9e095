"""A guest whose kernel floods its serial console: whoever follows it, and the host, bear a bounded part of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from engine.backend import Backend
from engine.models import SerialText
from engine.settings import Settings
from engine.vmm import qemu, serial_console
from engine.vmm.base import VmSpec
from engine.vmm.fleet import Fleet, LiveVm, VmPurpose
from tests.hostile.console_flooder import write_kernel
from tests.hostile.peak_memory import PeakMemory
from tests.hostile.remains import remains

pytestmark = [pytest.mark.vm, pytest.mark.qemu]

MIB = 1024 * 1024
READ_MAX = 512 * 1024  # for one VM, here: an emulated serial port writes 100 KB a second
KEPT = 64 * 1024
VIEWERS = 5


@pytest.fixture
async def flooding(lab: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Fleet, LiveVm]]:
    kernel = lab.data_dir / "flooder"  # where a jailed QEMU may read it
    write_kernel(kernel)
    monkeypatch.setattr(qemu, "_SERIAL_READ_MAX", READ_MAX)
    backend = Backend(lab)
    try:
        fleet = (await backend.ready()).fleet
        spec = VmSpec(64, 1, kernel, kernel, kernel, "", ())
        async with fleet.boot(spec, VmPurpose("hostile")) as live:
            yield fleet, live
    finally:
        await backend.close()


async def seen_by_one(live: LiveVm) -> list[SerialText]:
    return [piece async for piece in serial_console.follow(live.vm.serial, 0)]


async def test_viewers_of_a_flood_are_told_where_reading_stopped_and_cost_little(
    flooding: tuple[Fleet, LiveVm],
) -> None:
    _, live = flooding
    memory, began_cpu_s = PeakMemory(), time.process_time()
    async with asyncio.timeout(120):
        viewers = await asyncio.gather(*(seen_by_one(live) for _ in range(VIEWERS)))
    for pieces in viewers:
        assert "read up to" in pieces[-1].ended
        assert READ_MAX <= pieces[-1].offset < READ_MAX + 8192
        assert all(len(piece.text) <= KEPT + 1 for piece in pieces), "what is kept, and the end of what was cut before"
        assert {"\ufffd", "x"} >= set("".join(piece.text for piece in pieces))
    (late, end) = await seen_by_one(live)
    assert late.lost == end.offset - KEPT, "what is not kept any more is counted"
    assert memory.rise() < 32 * MIB
    assert time.process_time() - began_cpu_s < 10


async def test_killing_a_flooder_lets_its_viewers_go(flooding: tuple[Fleet, LiveVm], lab: Settings) -> None:
    fleet, live = flooding
    viewing = asyncio.create_task(seen_by_one(live))
    await live.vm.serial.grown(0)
    assert await fleet.kill(live.id)
    async with asyncio.timeout(10):
        pieces = await viewing
    assert pieces[-1].ended
    assert sum(piece.lost for piece in pieces) + pieces[-1].offset > 0
    assert remains(lab) == []


async def test_the_vmm_still_answers_while_its_guest_floods(flooding: tuple[Fleet, LiveVm]) -> None:
    _, live = flooding
    await live.vm.serial.grown(0)
    assert (await live.vm.counters(10)).figures[0].value == "running"
