"""Waiting for a guest's agent ends as soon as it can't come any more, long before the deadline."""

from __future__ import annotations

import asyncio
import os
import struct
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import InternalError
from engine.guestlink import hybrid_vsock
from engine.guestlink.stream import SocketStream
from engine.host.process import ProcessId
from engine.vmm.base import MachineState
from engine.vmm.firecracker import Firecracker, FirecrackerVm
from tests.firecracker_release import VERSION
from tests.integration.vmm.lab import Lab

AT_ONCE_S = 20  # of a deadline of 300; the slack is for a host that stalls
REBOOT = bytes.fromhex("b0fe e664 f4 ebfd".replace(" ", ""))  # mov al, 0xfe; out 0x64, al; hlt; jmp back to hlt


@pytest.fixture
def patient(lab: Lab) -> Firecracker:
    settings = lab.settings.model_copy(update={"boot_deadline_s": 300.0, "restore_deadline_s": 300.0})
    return Firecracker(settings, lab.binaries / "firecracker", VERSION)


@pytest.fixture
def attempted(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once the guest's agent is called."""
    event = asyncio.Event()
    handshake = hybrid_vsock.connect

    async def noticed(path: str | Path, port: int, deadline_s: float) -> SocketStream:
        event.set()
        return await handshake(path, port, deadline_s)

    monkeypatch.setattr(hybrid_vsock, "connect", noticed)
    return event


@pytest.fixture
async def mute(patient: Firecracker, saved: MachineState, owned: AsyncExitStack) -> FirecrackerVm:
    """One whose agent will not answer."""
    vm = await patient.restore("mute", saved)
    owned.push_async_callback(vm.destroy)
    return vm


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_a_vmm_that_is_killed_ends_the_wait(mute: FirecrackerVm, attempted: asyncio.Event) -> None:
    connecting = asyncio.create_task(mute.connect())
    await attempted.wait()
    assert mute.pid is not None
    assert ProcessId.of(mute.pid).kill()
    with pytest.raises(InternalError, match="Firecracker ended with signal 9"):
        await asyncio.wait_for(connecting, AT_ONCE_S)


async def test_a_vm_that_an_operator_destroys_ends_the_wait(mute: FirecrackerVm, attempted: asyncio.Event) -> None:
    connecting = asyncio.create_task(mute.connect())
    await attempted.wait()
    await mute.destroy()
    with pytest.raises(InternalError, match="Firecracker ended with signal 9"):
        await asyncio.wait_for(connecting, AT_ONCE_S)


async def test_a_guest_that_reboots_ends_the_wait(lab: Lab, patient: Firecracker, owned: AsyncExitStack) -> None:
    """As a kernel does that panics, for its command line says panic=-1."""
    kernel = lab.home / "rebooting"
    kernel.write_bytes(elf(REBOOT))
    vm = await patient.boot("rebooting", replace(lab.spec(), vmlinux=kernel))
    owned.push_async_callback(vm.destroy)
    with pytest.raises(InternalError, match="Firecracker ended with status 0"):
        await asyncio.wait_for(vm.connect(), AT_ONCE_S)


async def test_a_cancelled_wait_leaves_nothing_open(mute: FirecrackerVm, attempted: asyncio.Event) -> None:
    before = open_files()
    connecting = asyncio.create_task(mute.connect())
    await attempted.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert open_files() == before


async def test_no_call_reaches_a_vm_that_took_a_destroyed_ones_place(
    mute: FirecrackerVm, patient: Firecracker, saved: MachineState, owned: AsyncExitStack, attempted: asyncio.Event
) -> None:
    """Descriptors are numbers, and those of a destroyed VM are used again."""
    connecting = asyncio.create_task(mute.connect())
    await attempted.wait()
    await mute.destroy()
    other = await patient.restore("other", saved)
    owned.push_async_callback(other.destroy)
    with pytest.raises(InternalError, match="ended"):
        await asyncio.wait_for(connecting, AT_ONCE_S)
    for call in (lambda: mute.counters(1), lambda: mute.save(Path("nowhere"))):
        with pytest.raises(InternalError, match="not running"):
            await call()
    assert other.usage() is not None


def elf(code: bytes, at: int = 0x100000) -> bytes:
    """A kernel of one segment."""
    header, entry = 64, 56
    offset = header + entry
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, at, header, 0, 0, header, entry, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, offset, at, at, len(code), len(code), 0x1000)
    return ident + head + segment + code
