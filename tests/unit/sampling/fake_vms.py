"""A fleet whose VMs use what the test says, and count how often they are looked at."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from engine.models import Figure, VmState
from engine.vmm.base import Confinement, RunningVm, Vmm, VmmCounters, VmSpec, VmUsage
from engine.vmm.fleet import Fleet, LiveVm, VmPurpose
from engine.vmm.stopwatch import Stopwatch
from engine.vmm.tail import Tail

SPEC = VmSpec(256, 1, Path("bz"), Path("elf"), Path("initramfs"), "", ())


@dataclass
class FakeVm:
    id: str
    cpu_s: float = 0.0
    looks: int = 0
    asked: int = 0
    failure: Exception | None = None
    no_counters: Exception | None = None
    no_limits: OSError | None = None
    threads: set[str] = field(default_factory=set)
    pid: int | None = 7
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    serial: Tail = field(default_factory=lambda: Tail(10, 10))

    def usage(self) -> VmUsage | None:
        self.looks += 1
        self.threads.add(threading.current_thread().name)
        if self.failure is not None:
            raise self.failure
        return VmUsage(self.cpu_s, 100, 200)

    def limits(self) -> tuple[Figure, ...]:
        if self.no_limits is not None:
            raise self.no_limits
        return (Figure(name="memory", value="448 MiB", used="100 MiB"),)

    async def counters(self, deadline_s: float) -> VmmCounters:
        self.asked += 1
        if self.no_counters is not None:
            raise self.no_counters
        return VmmCounters(11, 22, (Figure(name="machine", value="running"),))


class FakeVmm:
    name = "fake"
    accelerator = "none"
    confinement = Confinement(True, "a fake")


class FakeFleet:
    def __init__(self) -> None:
        self.live: list[LiveVm] = []

    def born(self, vm_id: str, state: VmState = VmState.RUNNING) -> FakeVm:
        vm = FakeVm(vm_id)
        purpose = VmPurpose("run", "python")
        live = LiveVm(cast(RunningVm, vm), cast(Vmm, FakeVmm()), SPEC, purpose, state, born_s=time.monotonic())
        self.live.append(live)
        return vm

    def as_fleet(self) -> Fleet:
        return cast(Fleet, self)
