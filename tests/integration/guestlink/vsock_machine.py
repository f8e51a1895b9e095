"""A microVM that is reached by vsock alone: QEMU, and beside it a process that is its vsock device.

That device's unix socket speaks the handshake of Firecracker's, so the guest's listening side and the host's way to it
are proven here without hardware virtualization. Unlike Firecracker, vhost-device-vsock 0.3 may lock itself up for good
over a connection that comes while the guest's driver starts, so the guest is left alone until its agent listens.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.guestlink.guest import Guest
from engine.guestlink.hybrid_vsock import connect_once_greeted
from engine.rootfs import cpio
from engine.vmm.base import VmSpec
from engine.vmm.qemu_command import cmdline, machine_of
from guest.protocol import AGENT_PORT

ACCELERATOR = "tcg"
GUEST_CID = 3
DEADLINE_S = 120.0
_SHOWN = 2000
_LISTENING = "The agent listens"
# The agent as it is, but that it says on the console where it has come to, and does first what a test adds.
_INIT = """#!/usr/bin/python3 -ISE
import os, sys, time
sys.path.insert(0, "/agent")
from guest import agent
from guest.init import main

serve = agent.Agent.serve

def serve_aloud(self):
    print({listening!r}, flush=True)
    before(self)
    serve(self)

{before}

agent.Agent.serve = serve_aloud
main()
"""
_NOTHING_BEFORE = "def before(_): pass"
_LISTENS = "00010000"  # __SO_ACCEPTCON in /proc/net/unix


@dataclass(frozen=True)
class Programs:
    qemu: Path
    device: Path


@dataclass(frozen=True)
class VsockMachine:
    """``home`` is a short folder of its own."""

    home: Path

    @property
    def vsock(self) -> Path:
        """Where the host connects."""
        return self.home / "vm.vsock"

    @property
    def backend(self) -> Path:
        """Where QEMU meets its device."""
        return self.home / "device.sock"

    @property
    def console(self) -> Path:
        return self.home / "console"

    @property
    def initramfs(self) -> Path:
        return self.home / "initramfs"

    async def dial(self) -> Guest:
        """A new connection to the agent. Nothing has been exchanged yet."""
        return Guest(await connect_once_greeted(self.vsock, AGENT_PORT, DEADLINE_S))

    async def console_says(self, line: str) -> None:
        """Return once it does. Raises TimeoutError with what it said instead."""
        said = ""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while line not in said.splitlines():
                    await asyncio.sleep(0.01)
                    said = self.console.read_text(errors="replace") if self.console.exists() else ""
        except TimeoutError as error:
            error.add_note(f"the guest's console: {said[-_SHOWN:]}")
            raise


@asynccontextmanager
async def running(
    home: Path, programs: Programs, spec: VmSpec, before: str = _NOTHING_BEFORE
) -> AsyncIterator[VsockMachine]:
    """Booted, with the agent listening; both processes are gone at the end.

    ``before`` is source that defines the function before(agent), which the agent's process calls before it serves.
    """
    machine = VsockMachine(home)
    cpio.write(
        home / "init.cpio", {"init": cpio.file(_INIT.format(listening=_LISTENING, before=before).encode(), 0o755)}
    )
    # A later archive's files replace those of an earlier one.
    machine.initramfs.write_bytes(spec.initramfs.read_bytes() + (home / "init.cpio").read_bytes())
    async with AsyncExitStack() as stack:
        vm = f"guest-cid={GUEST_CID},socket={machine.backend},uds-path={machine.vsock}"
        device = await _start(stack, home / "device.log", [str(programs.device), "--vm", vm])
        await _listening(device, machine.backend, machine.vsock)
        await _start(stack, home / "qemu.log", _qemu(programs.qemu, machine, spec))
        await machine.console_says(_LISTENING)
        yield machine


async def _start(stack: AsyncExitStack, log: Path, argv: list[str]) -> Process:
    """A process that ends with the stack, and with this one even where it is killed."""
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--"), *argv, stdin=DEVNULL, stdout=said, stderr=said
        )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    stack.push_async_callback(end)
    return process


async def _listening(device: Process, *sockets: Path) -> None:
    """Return once connections to all of them are accepted. QEMU tries only once."""
    missing = {str(path) for path in sockets}
    async with asyncio.timeout(DEADLINE_S):
        while missing:
            assert device.returncode is None, f"the vsock device ended with {device.returncode}"
            for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
                fields = line.split(maxsplit=7)
                if len(fields) == 8 and fields[3] == _LISTENS:
                    missing.discard(fields[7])
            await asyncio.sleep(0.01)


def _qemu(binary: Path, machine: VsockMachine, spec: VmSpec) -> list[str]:
    """No virtio-serial port. Memory is shared: the device reads and writes the guest's queues itself."""
    arguments = [
        *(str(binary), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", f"{machine_of(os.uname().machine)},memory-backend=ram", "-accel", ACCELERATOR, "-cpu", "max"),
        *("-smp", str(spec.vcpus), "-m", f"{spec.memory_mib}M"),
        *("-object", f"memory-backend-memfd,id=ram,size={spec.memory_mib}M,share=on"),
        *("-kernel", str(spec.vmlinux), "-initrd", str(machine.initramfs), "-append", cmdline(spec, ACCELERATOR)),
        *("-serial", f"file:{machine.console}"),
        *("-chardev", f"socket,id=vsock,path={machine.backend}"),
        *("-device", "vhost-user-vsock-device,chardev=vsock"),
    ]
    for number, drive in enumerate(spec.drives):
        node = f"drive{number}"
        arguments += ["-blockdev", f"driver=raw,node-name={node},read-only=on,file.driver=file,file.filename={drive}"]
        arguments += ["-device", f"virtio-blk-device,drive={node}"]
    return arguments
