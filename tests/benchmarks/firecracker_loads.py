"""Firecracker's restores through the driver, in a jail and out of it, each beside a raw script in turn.

Where there is no Firecracker or no KVM, the figures say so in place of numbers.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import NotReadyError
from engine.host.programs import Program, firecracker_program
from engine.settings import Settings
from engine.vmm import cgroups
from engine.vmm import firecracker_machine as machine
from engine.vmm.base import MachineState
from engine.vmm.firecracker import Firecracker
from engine.vmm.firecracker_process import ARGUMENTS, LOGS
from engine.vmm.jailer import JailPolicy
from engine.vmm.quarters import OpenQuarters
from tests import firecracker_release
from tests.benchmarks import raw_firecracker
from tests.benchmarks.case import Case
from tests.benchmarks.figure import Figure, Skipped, Target
from tests.benchmarks.memory import private_bytes
from tests.firecracker_release import NoFirecrackerError

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One load. The memory is the VMM's, with its guest's, as soon as that runs."""

    took_ms: float
    guest_bytes: int
    written_bytes: int
    read_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    unit: str
    meaning: str
    value: Callable[[Sample], float]
    target: Target | None = None

    def figure(self, name: str, ours: Sequence[Sample], raw: Sequence[Sample]) -> Figure:
        return Figure(name, self.unit, self.meaning, [*map(self.value, ours)], [*map(self.value, raw)], self.target)

    def skipped(self, name: str, reason: str) -> Skipped:
        return Skipped(name, self.unit, self.meaning, reason, self.target)


ROWS = {
    "firecracker_restore": Row(
        "ms",
        "Firecracker's spawn, load and resume through the driver, without a jail",
        lambda sample: sample.took_ms,
        Target(1.3, of_ratio=True),
    ),
    "firecracker_clone_memory": Row(
        "% of guest",
        "written by a clone of Firecracker's that has just been resumed, of a machine saved as soon as it ran",
        lambda sample: 100 * sample.written_bytes / sample.guest_bytes,
    ),
    "firecracker_clone_written": Row("MiB", "the same: Private_Dirty", lambda sample: sample.written_bytes / _MIB),
    "firecracker_clone_read": Row(
        "MiB",
        "pages of files that it alone has read until then: Private_Clean",
        lambda sample: sample.read_bytes / _MIB,
    ),
}
JAILED_ROWS = {
    "firecracker_restore_jailed": Row(
        "ms", "as firecracker_restore, in a jail; the baseline runs the jailer too", lambda sample: sample.took_ms
    )
}


@dataclass(frozen=True, slots=True)
class _Ground:
    """What clones are made from. ``jails`` is None without root."""

    settings: Settings
    program: Program
    folder: Path
    saved: MachineState
    jails: JailPolicy | None


async def figures(settings: Settings, case: Case, count: int, say: Callable[[str], None]) -> list[Figure | Skipped]:
    """All rows of this module; those that can't be measured with the reason."""
    say(f"Firecracker's restores, {count} times")
    try:
        async with _prepared(settings, case) as ground:
            ours, raw = await _in_turn(ground, None, count)
            measured: list[Figure | Skipped] = [row.figure(name, ours, raw) for name, row in ROWS.items()]
            if ground.jails is None:
                reason = "Firecracker's jailer needs root"
                return measured + [row.skipped(name, reason) for name, row in JAILED_ROWS.items()]
            ours, raw = await _in_turn(ground, ground.jails, count)
            return measured + [row.figure(name, ours, raw) for name, row in JAILED_ROWS.items()]
    except (NoFirecrackerError, NotReadyError) as error:
        return [row.skipped(name, str(error)) for name, row in {**ROWS, **JAILED_ROWS}.items()]


async def _program(settings: Settings) -> Program:
    """What setup installed, else the release that the tests use. Raises NoFirecrackerError, NotReadyError."""
    firecracker_release.require_kvm()
    settings = settings.model_copy(update={"jail": "on" if os.geteuid() == 0 else "off"})
    try:
        return await firecracker_program(settings)
    except NotReadyError:
        binary = str(firecracker_release.release() / "firecracker")
        return await firecracker_program(settings.model_copy(update={"firecracker_binary": binary}))


@asynccontextmanager
async def _prepared(settings: Settings, case: Case) -> AsyncGenerator[_Ground]:
    """Raises NoFirecrackerError, NotReadyError."""
    program = await _program(settings)
    jails = None
    if program.jailer is not None:
        policy = JailPolicy.of_host(settings, program.path, program.jailer)
        jails = replace(policy, cgroup_prefix=f"vmdeck-bench-{secrets.token_hex(4)}")
    folder = settings.data_dir / "firecracker-bench"
    folder.mkdir()
    try:
        saved = await _saved(settings, program, case, folder)
        yield _Ground(settings, program, folder, saved, jails)
    finally:
        shutil.rmtree(folder)


async def _saved(settings: Settings, program: Program, case: Case, folder: Path) -> MachineState:
    drive = folder / "drive"  # of our own: what is linked into a jail may change its group
    drive.write_bytes(bytes(_MIB))
    spec = replace(case.cold, drives=(drive,))
    vm = await Firecracker(settings, program.path, program.version).boot("template", spec, saveable=True)
    try:
        saved = await vm.save(folder)
    finally:
        await vm.destroy()
    return MachineState(spec, saved.cpu_model, saved.machine, saved.state, saved.memory)


async def _in_turn(ground: _Ground, jails: JailPolicy | None, count: int) -> tuple[list[Sample], list[Sample]]:
    """Samples of the driver and of the raw script, in turn, after one of each that fills caches."""
    driver = Firecracker(ground.settings, ground.program.path, ground.program.version, jails=jails)
    ours, raw = list[Sample](), list[Sample]()
    for number in range(count + 1):
        if number % 2:
            raw.append(await _raw(ground, jails))
        ours.append(await _ours(ground, driver, f"ours{number}"))
        if not number % 2:
            raw.append(await _raw(ground, jails))
    return ours[1:], raw[1:]


async def _ours(ground: _Ground, driver: Firecracker, vm_id: str) -> Sample:
    began = time.perf_counter()
    vm = await driver.restore(vm_id, ground.saved)
    took_ms = (time.perf_counter() - began) * 1000
    try:
        return _sample(ground, took_ms, vm.pid or 0)
    finally:
        await vm.destroy()


async def _raw(ground: _Ground, jails: JailPolicy | None) -> Sample:
    folder = ground.folder / "raw"
    quarters = jails.for_vm("raw", ground.saved.spec) if jails else OpenQuarters(ground.program.path, "raw", folder)
    if jails is None:
        folder.mkdir()
    quarters.prepare()
    try:
        for name in LOGS:
            (quarters.folder / name).touch()
            quarters.own(name)
        for name, source in machine.saved_files(ground.saved).items():
            quarters.place(source, name)
        with raw_firecracker.loaded(quarters.command(ARGUMENTS), quarters.folder) as (pid, took_ms):
            return _sample(ground, took_ms, pid)
    finally:
        await cgroups.remove(quarters.traces.cgroups)
        shutil.rmtree(quarters.folder.parent if jails else folder)
        quarters.leave()


def _sample(ground: _Ground, took_ms: float, pid: int) -> Sample:
    guest_bytes = ground.saved.spec.memory_mib * _MIB
    return Sample(took_ms, guest_bytes, private_bytes(pid), private_bytes(pid, "Private_Clean"))
