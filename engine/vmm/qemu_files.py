"""The files that QEMU reads, as it is told of them: by path, or, in a jail, by descriptors that it inherits.

A jailed one may open none of them itself. Drives go through QEMU's descriptor sets, which take the descriptor as it
is. Kernel and initramfs it can only be named as paths; opening one through /proc asks for the file's mode, not for its
folders'.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import NotReadyError
from engine.vmm import memory_file
from engine.vmm.base import VmSpec

_OTHERS_MAY_READ = 0o004


@dataclass(frozen=True, slots=True)
class HandedFiles:
    """``spec`` names the files as QEMU finds them, with ``arguments`` added and the ``descriptors`` inherited."""

    spec: VmSpec
    arguments: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()


def by_path(spec: VmSpec) -> HandedFiles:
    """Whatever QEMU's working folder is."""
    return HandedFiles(
        replace(
            spec,
            vmlinux=spec.vmlinux.absolute(),
            initramfs=spec.initramfs.absolute(),
            drives=tuple(drive.absolute() for drive in spec.drives),
        )
    )


@contextlib.asynccontextmanager
async def by_descriptor(spec: VmSpec, *, incoming: bool) -> AsyncGenerator[HandedFiles]:
    """Open for as long as the body runs. An ``incoming`` machine boots from nothing. Raises NotReadyError."""
    with contextlib.ExitStack() as held:
        try:
            drives = [_opened(drive, held) for drive in spec.drives]
            boot = [] if incoming else [await _readable(path, held) for path in (spec.vmlinux, spec.initramfs)]
        except OSError as error:
            raise NotReadyError(
                f"A file of the VM can't be read: {error}", remedy="Missing ones are made by vmdeck setup"
            ) from None
        named = replace(spec, drives=tuple(Path(f"/dev/fdset/{number}") for number in range(len(drives))))
        if boot:
            vmlinux, initramfs = (Path(f"/proc/self/fd/{fd}") for fd in boot)
            named = replace(named, vmlinux=vmlinux, initramfs=initramfs)
        sets = [part for number, fd in enumerate(drives) for part in ("-add-fd", f"fd={fd},set={number}")]
        yield HandedFiles(named, tuple(sets), (*drives, *boot))


def _opened(path: Path, held: contextlib.ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    held.callback(os.close, fd)
    return fd


async def _readable(path: Path, held: contextlib.ExitStack) -> int:
    """A descriptor whose file any user may open again: that of ``path``, or of a copy in memory where it is private."""
    fd = _opened(path, held)
    if os.fstat(fd).st_mode & _OTHERS_MAY_READ:
        return fd
    copy = await asyncio.to_thread(memory_file.sealed_copy, fd, path.name)
    held.callback(os.close, copy)
    return copy
