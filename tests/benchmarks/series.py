"""All measurements, each beside its baseline, sample by sample in turn, so that load on the host meets both alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.engine import Engine
from tests.benchmarks import raw, subject
from tests.benchmarks.case import Case
from tests.benchmarks.figure import Figure, Target
from tests.benchmarks.http_addition import Endpoint
from tests.benchmarks.memory import settled_private_bytes

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Counts:
    """Samples of each kind."""

    restores: int = 30
    boots: int = 10
    clones: int = 10
    posts: int = 25
    loads: int = 40

    @classmethod
    def smoke(cls) -> Counts:
        return cls(2, 2, 2, 2, 2)


@dataclass(slots=True)
class Pair:
    """Samples of the engine and of the raw script."""

    ours: list[float] = field(default_factory=list[float])
    raw: list[float] = field(default_factory=list[float])


@dataclass(frozen=True, slots=True)
class Bench:
    """What the measurements need. ``say`` hears which one is under way."""

    engine: Engine
    case: Case
    counts: Counts
    say: Callable[[str], None]

    async def restores(self) -> list[Figure]:
        self.say(f"restore to first output, {self.counts.restores} times")
        pair = Pair()
        await subject.first_output_ms(self.engine, "snapshot")  # fills caches that the first of a row would pay for
        for number in range(self.counts.restores):
            if number % 2:
                pair.raw.append(self._raw_first_output_ms())
            pair.ours.append(await subject.first_output_ms(self.engine, "snapshot"))
            if not number % 2:
                pair.raw.append(self._raw_first_output_ms())
        meaning = "request to first output byte, from a snapshot"
        return [Figure("restore_to_first_output", "ms", meaning, pair.ours, pair.raw, Target(1.25, of_ratio=True))]

    async def boots(self) -> list[Figure]:
        self.say(f"cold boots, {self.counts.boots} times")
        pair, cold, ratios = Pair(), list[float](), list[float]()
        for _ in range(self.counts.boots):
            pair.ours.append(await subject.boot_ms(self.case.fleet, self.case))
            with raw.booted(self.case.boot_arguments) as (_, took_ms):
                pair.raw.append(took_ms)
            cold.append(await subject.first_output_ms(self.engine, "cold"))
            ratios.append(cold[-1] / await subject.first_output_ms(self.engine, "snapshot"))
        return [
            Figure("cold_boot_to_agent", "ms", "start to the agent's hello", pair.ours, pair.raw, Target(5000)),
            Figure("cold_to_first_output", "ms", "request to first output byte, cold boot", cold),
            Figure("cold_to_warm", "x", "the same, cold over snapshot", ratios, target=Target(12, at_least=True)),
        ]

    async def clones(self) -> list[Figure]:
        self.say(f"memory of clones and second runs in them, {self.counts.clones} times")
        idle, ran, second = Pair(), Pair(), Pair()
        for _ in range(self.counts.clones):
            async with subject.clone(self.case.fleet, self.case) as (live, guest):
                pid = live.vm.pid or 0
                idle.ours.append(await self._memory_percent(pid))
                await subject.run_ms(guest, self.case.program)
                ran.ours.append(await self._memory_percent(pid))
                second.ours.append(await subject.run_ms(guest, self.case.program))
            with raw.restored(self.case.restore_arguments, self.case.saved.state) as (vm, _):
                idle.raw.append(await self._memory_percent(vm.pid))
                vm.execute(self.case.exec_fields(), self.case.script())
                ran.raw.append(await self._memory_percent(vm.pid))
                began = time.perf_counter()
                first = vm.execute(self.case.exec_fields(), self.case.script())
                second.raw.append((first - began) * 1000)
        spawned = "request to first output byte of a second run in the same VM: its interpreter starts anew"
        unit = "% of guest"
        return [
            Figure("idle_clone_memory", unit, "written by a clone that waits", idle.ours, idle.raw, Target(25)),
            Figure("clone_memory_after_run", unit, "written by a clone once it ran", ran.ours, ran.raw),
            Figure("second_run_in_vm", "ms", spawned, second.ours, second.raw),
        ]

    async def http(self, endpoint: Endpoint) -> list[Figure]:
        self.say(f"calls over HTTP, {self.counts.posts} times")
        calls, posts, added = list[float](), list[float](), list[float]()
        await endpoint.post_ms()  # opens the connection that the others use
        for _ in range(self.counts.posts):
            calls.append(await endpoint.call_ms())
            took_ms, added_ms = await endpoint.post_ms()
            posts.append(took_ms)
            added.append(added_ms)
        return [
            Figure("http_call", "ms", "a whole run over HTTP; baseline: the engine's own call", posts, calls),
            Figure("http_adds", "ms", "of a call over HTTP, what was not the engine's", added, target=Target(10)),
        ]

    def _raw_first_output_ms(self) -> float:
        fields, script = self.case.exec_fields(), self.case.script()
        with raw.restored(self.case.restore_arguments, self.case.saved.state) as (vm, began):
            return (vm.execute(fields, script) - began) * 1000

    async def _memory_percent(self, pid: int) -> float:
        return 100 * await settled_private_bytes(pid) / (self.case.saved.spec.memory_mib * MIB)
