"""Live microVMs, as sampled by the engine."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from engine.models.value import Value


class VmState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping"


class Vm(Value):
    """A live microVM, as sampled by the engine."""

    id: str
    vmm: str
    accelerator: str
    pid: int | None
    state: VmState
    purpose: str = Field(description="run, snapshot, bench ...")
    language: str | None = None
    image: str | None = None
    snapshot: str | None = None
    trace_id: str | None = None
    memory_mib: int
    vcpus: int
    started: datetime
    age_s: float
    cpu_percent: float | None = None
    memory_private_bytes: int | None = None
    memory_shared_bytes: int | None = None
    disk_read_bytes: int | None = Field(default=None, description="by the guest's drives, since its start")
    disk_written_bytes: int | None = None
    link_in_bytes: int | None = Field(default=None, description="from the host to the agent, since the VM's start")
    link_out_bytes: int | None = Field(default=None, description="from the agent to the host")
    jailed: bool = Field(default=True, description="whether the VMM process is confined")
    jail: str = Field(default="", description="what confines it, or why nothing does")


class VmPoint(Value):
    """One sample of a VM over time."""

    at: datetime
    cpu_percent: float | None
    memory_private_bytes: int | None


class BootStage(Value):
    """One part of a VM's start, in the order they happened, without gaps: engine/vmm/stopwatch.py names them all."""

    name: str
    ms: float


class Figure(Value):
    """A figure that only its source names: a VMM's own metric, what the agent counts, a limit of the jail."""

    name: str
    value: str = Field(description="with its unit, for people")
    used: str = Field(default="", description="for a limit: how much of it is in use")


class VmDetail(Value):
    """All that the engine knows of one live VM."""

    vm: Vm
    series: tuple[VmPoint, ...] = Field(description="the last minutes, oldest first, one sample per sampler tick")
    stages: tuple[BootStage, ...] = ()
    limits: tuple[Figure, ...] = Field(default=(), description="of the jail's control group; empty without a jail")
    vmm: tuple[Figure, ...] = Field(default=(), description="the VMM's own metrics")
    guest: tuple[Figure, ...] = Field(default=(), description="what the agent says of the guest: a guest may lie")
    missing: tuple[str, ...] = Field(default=(), description="what could not be asked, and why")


class SerialText(Value):
    """A piece of a VM's serial console: untrusted, a hostile guest writes it."""

    offset: int = Field(description="of the end of ``text``, in bytes since the VM's start; ask again after it")
    text: str = Field(description="bytes that are not UTF-8 are replaced by U+FFFD")
    lost: int = Field(default=0, description="bytes before ``text`` that are no longer kept, or were not read")
    ended: str = Field(default="", description="in the last piece: why no more comes. Not the guest's words")
