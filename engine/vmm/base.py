"""What every VMM can do. Nothing above this folder knows which one it drives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.models import Figure
from engine.vmm.stopwatch import Stopwatch
from engine.vmm.tail import Tail


@dataclass(frozen=True, slots=True)
class VmSpec:
    """A microVM to boot: its machine and what it boots from. Drives are read-only, in order."""

    memory_mib: int
    vcpus: int
    bzimage: Path
    vmlinux: Path
    initramfs: Path
    cmdline: str
    drives: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class MachineState:
    """The frozen part of a snapshot: how its VM was built, and its state and memory files."""

    spec: VmSpec
    cpu_model: str
    machine: str
    state: Path
    memory: Path


@dataclass(frozen=True, slots=True)
class SavedState:
    """What ``RunningVm.save`` wrote."""

    state: Path
    memory: Path
    vmm_version: str
    accelerator: str
    cpu_model: str
    machine: str


@dataclass(frozen=True, slots=True)
class VmUsage:
    """A sample of what the VMM process uses. cpu_s counts from its start."""

    cpu_s: float
    memory_private_bytes: int
    memory_shared_bytes: int


@dataclass(frozen=True, slots=True)
class VmmCounters:
    """What a VMM counts itself. Bytes are those that the guest's drives have read and written since its start."""

    disk_read_bytes: int
    disk_written_bytes: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Confinement:
    """What keeps a VMM process from the host beside the VM itself. ``text`` is for people: the means, or why none."""

    jailed: bool
    text: str


class ByteStream(Protocol):
    """A connection to the guest agent."""

    async def read(self) -> bytes:
        """Next bytes; empty at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError once the other end is gone."""
        ...

    async def close(self) -> None: ...


class RunningVm(Protocol):
    """A VMM process and all it holds. ``destroy`` ends it on every path."""

    @property
    def id(self) -> str: ...

    @property
    def pid(self) -> int | None: ...

    @property
    def greets(self) -> bool:
        """Whether the agent's first words on the connection are its hello: not so where it does not notice that the
        machine was restored and another host listens."""
        ...

    async def connect(self) -> ByteStream:
        """To the guest agent. May be called once."""
        ...

    async def save(self, into: Path) -> SavedState:
        """Pause, write state and memory into the folder ``into``, leave the VM stopped."""
        ...

    async def exited(self) -> str:
        """Return when the VMM process has ended: how, with the tail of its own messages."""
        ...

    @property
    def serial(self) -> Tail:
        """The guest's serial console, for diagnosis only: a hostile guest may write it."""
        ...

    @property
    def stopwatch(self) -> Stopwatch:
        """Measures the parts of its start; who connects to the guest marks those that follow."""
        ...

    def usage(self) -> VmUsage | None:
        """None once the process is gone. Reads /proc."""
        ...

    def limits(self) -> tuple[Figure, ...]:
        """Of its jail's control groups, with what is used of them; none without such groups. Reads the kernel's files.
        Raises OSError once they are gone."""
        ...

    async def counters(self, deadline_s: float) -> VmmCounters:
        """Ask the VMM. Raises InternalError where it does not answer, or is busy being saved."""
        ...

    async def destroy(self) -> None:
        """Idempotent; returns when nothing is left."""
        ...


class Vmm(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def accelerator(self) -> str: ...

    @property
    def confinement(self) -> Confinement: ...

    async def version(self) -> str: ...

    async def boot(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> RunningVm:
        """Start a machine from its kernel. Only a ``saveable`` one is sure to be fit for ``save``."""
        ...

    async def restore(self, vm_id: str, saved: MachineState) -> RunningVm: ...
