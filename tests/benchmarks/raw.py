"""The raw baseline: a plain script that starts QEMU with the engine's own arguments and speaks QMP as JSON lines and
the wire on a blocking socket. No code of the engine runs while the clock does.

It leaves out what the engine adds around a VM: a private folder, a reader of the console, limits on what the guest
says, QEMU's jail, the guard that ends it with its parent.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from guest import protocol
from guest.protocol import Frame

Arguments = Callable[[int, int, int], list[str]]
"""QEMU's command line for the descriptors of agent channel, QMP and serial console."""

_DEADLINE_S = 60.0
_ENTROPY_BYTES = 64


class RawFailure(Exception):
    """The guest or QEMU did not do what the script expects."""


class RawVm:
    """A QEMU process and our ends of its three socket pairs."""

    def __init__(self, arguments: Arguments) -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        self._agent, self._qmp, self._serial = (ours for ours, _ in pairs)
        self._theirs = [theirs for _, theirs in pairs]
        for end in (self._agent, self._qmp):
            end.settimeout(_DEADLINE_S)
        self._command = arguments(*(end.fileno() for end in self._theirs))
        self._answers = self._qmp.makefile("rb")
        self._decoder = protocol.Decoder()
        self._frames: list[Frame] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._op = 0

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RawFailure("QEMU was not started")
        return self._process.pid

    def start(self, *inherited: int) -> None:
        fds = [end.fileno() for end in self._theirs] + list(inherited)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=fds
        )
        for end in self._theirs:
            end.close()

    def load(self, state_fd: int) -> None:
        """Have it load a saved state; the machine then runs on by itself."""
        self._answers.readline()  # the greeting
        self._ask("qmp_capabilities")
        capabilities = [{"capability": "x-ignore-shared", "state": True}]
        self._ask("migrate-set-capabilities", capabilities=capabilities)
        self._ask("migrate-incoming", uri=f"fd:{state_fd}")

    def hello(self) -> None:
        self._expect(protocol.HELLO, 0)

    def resync(self) -> None:
        """Entropy, time and identity, confirmed."""
        entropy = os.urandom(_ENTROPY_BYTES)
        op = self._send(protocol.RESYNC, entropy, time_ns=time.time_ns(), identity="raw")
        self._expect(protocol.RESYNCED, op)

    def execute(self, fields: dict[str, object], script: bytes) -> float:
        """Run a program to its end; when its first output came (time.perf_counter)."""
        op = self._send(protocol.EXEC, script, **fields)
        self._expect(protocol.STARTED, op)
        self._expect(protocol.STDOUT, op)
        first = time.perf_counter()
        while self._next().type != protocol.EXIT:
            pass
        return first

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        for end in (self._agent, self._qmp, self._serial, *self._theirs):
            end.close()

    def _ask(self, command: str, **arguments: object) -> None:
        self._qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while "return" not in (answer := json.loads(self._answers.readline())):
            if "error" in answer:
                raise RawFailure(f"QEMU refused {command}: {answer['error']}")

    def _send(self, kind: str, body: bytes = b"", **fields: object) -> int:
        self._op += 1
        self._agent.sendall(protocol.encode(kind, self._op, body, **fields))
        return self._op

    def _expect(self, kind: str, op: int) -> None:
        frame = self._next()
        if (frame.type, frame.op) != (kind, op):
            raise RawFailure(f"{kind} was expected, the guest sent {frame.type}: {frame.fields}")

    def _next(self) -> Frame:
        while not self._frames:
            data = self._agent.recv(128 * 1024)
            if not data:
                raise RawFailure("QEMU has closed the guest's channel")
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)


@contextmanager
def booted(arguments: Arguments) -> Generator[tuple[RawVm, float]]:
    """A cold-booted VM, and the milliseconds from its start to the agent's hello."""
    vm = RawVm(arguments)
    try:
        began = time.perf_counter()
        vm.start()
        vm.hello()
        yield vm, (time.perf_counter() - began) * 1000
    finally:
        vm.end()


@contextmanager
def restored(arguments: Arguments, state: Path) -> Generator[tuple[RawVm, float]]:
    """A clone that has confirmed its resync, and when it was asked for (time.perf_counter)."""
    vm = RawVm(arguments)
    try:
        began = time.perf_counter()
        fd = os.open(state, os.O_RDONLY)
        try:
            vm.start(fd)
            vm.load(fd)
        finally:
            os.close(fd)
        vm.resync()
        yield vm, began
    finally:
        vm.end()
