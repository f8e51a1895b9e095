"""No VM keeps another of its image from starting, be its QEMU taken over."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from engine.backend import Backend
from engine.settings import Settings
from engine.vmm.fleet import VmPurpose
from tests.lab import made_lab

pytestmark = pytest.mark.vm

MIB = 1024 * 1024
_DEADLINE_S = 60.0
_FLOCK = "@hhqqi0q"
_QEMUS_BYTES = (100, 200)  # first and number: block/file-posix.c has its locks there


@pytest.fixture
async def backend(prepared: Settings) -> AsyncIterator[Backend]:
    with made_lab(prepared, vmm="qemu") as settings:
        backend = Backend(settings)
        yield backend
        await backend.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Its content is of no matter, and no other test's VM has it."""
    image = tmp_path / "rootfs.ext4"
    image.write_bytes(bytes(MIB))
    return image


async def test_vms_start_while_somebody_holds_locks_on_their_image(backend: Backend, image: Path) -> None:
    ready = await backend.ready()
    # Not quiet, since what the kernel says shows that QEMU has opened its drives.
    spec = replace(ready.boot_files.spec(image, 128, 1), cmdline="loglevel=8 earlyprintk=ttyS0")
    with image.open("rb") as held:
        first, count = _QEMUS_BYTES
        fcntl.fcntl(held, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, first, count, 0))
        async with AsyncExitStack() as stack:
            for _ in range(2):
                vm = (await stack.enter_async_context(ready.fleet.boot(spec, VmPurpose("test")))).vm
                ending = asyncio.create_task(vm.exited())
                stack.callback(ending.cancel)
                async with asyncio.timeout(_DEADLINE_S):
                    while "Linux version" not in vm.serial.text():
                        assert not ending.done(), ending.result()
                        await asyncio.sleep(0.01)
