"""What is measured: one small Python program, the snapshot that serves it, the machine it boots on without."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from engine.backend import Backend
from engine.errors import NotReadyError
from engine.guestlink.guest import Program
from engine.host.programs import find_qemu
from engine.inventory import Inventory
from engine.languages.catalogue import Catalogue
from engine.models import BootMode, RunRequest, VmmChoice
from engine.settings import Settings
from engine.vmm.base import MachineState, VmSpec
from engine.vmm.fleet import Fleet
from engine.vmm.qemu_command import CPU_MODELS, Channels, Memory, command, machine_of
from tests.lab import made_lab

LANGUAGE = "python"
CODE = "print('Hello from a microVM')"


def request(boot: BootMode) -> RunRequest:
    return RunRequest(language=LANGUAGE, code=CODE, boot=boot)


@dataclass(frozen=True, slots=True)
class Case:
    """The same program and machine, for the engine and for the raw script."""

    choice: VmmChoice
    kernel: str
    qemu: Path
    fleet: Fleet
    saved: MachineState
    cold: VmSpec
    program: Program

    def exec_fields(self) -> dict[str, object]:
        """The program as the wire's exec request has it, but for the script's text."""
        program = self.program
        limits = {field.name: getattr(program.limits, field.name) for field in fields(program.limits)}
        return {
            "argv": list(program.argv),
            "env": dict(program.env),
            "cwd": program.cwd,
            "warm": program.warm,
            "stdin": False,
            "limits": limits,
            "script": program.script.path if program.script else None,
        }

    def script(self) -> bytes:
        return self.program.script.content if self.program.script else b""

    def boot_arguments(self, agent: int, qmp: int, serial: int) -> list[str]:
        return self._arguments(self.cold, Channels(agent, qmp, serial), Memory())

    def restore_arguments(self, agent: int, qmp: int, serial: int) -> list[str]:
        memory = Memory(str(self.saved.memory))
        return self._arguments(self.saved.spec, Channels(agent, qmp, serial), memory, incoming=True)

    def _arguments(self, spec: VmSpec, channels: Channels, memory: Memory, *, incoming: bool = False) -> list[str]:
        accelerator = self.choice.accelerator
        return command(
            self.qemu,
            "raw",
            spec,
            channels,
            accelerator=accelerator,
            machine=machine_of(os.uname().machine),
            cpu_model=CPU_MODELS[accelerator],
            memory=memory,
            incoming=incoming,
        )


@asynccontextmanager
async def prepared() -> AsyncGenerator[tuple[Settings, Case]]:
    """Settings whose artefacts are the host's own and whose history and runtime folder are thrown away, and the case.

    Raises NotReadyError where ``vmdeck setup`` has something left to do.
    """
    with made_lab(Settings.model_validate({})) as settings:
        backend = Backend(settings)
        try:
            yield settings, await _case(settings, backend)
        finally:
            await backend.close()


async def _case(settings: Settings, backend: Backend) -> Case:
    ready = await backend.ready()
    inventory = Inventory(settings, Catalogue.load(), backend)
    plan, warm = await inventory.plan(ready, request("snapshot"), None)
    if warm.saved is None:
        raise NotReadyError(f"No snapshot of {LANGUAGE} fits this host", remedy="Make one: vmdeck setup")
    _, cold = await inventory.plan(ready, request("cold"), None)
    return Case(
        choice=ready.choice,
        kernel=ready.boot_files.kernel,
        qemu=find_qemu(settings),
        fleet=ready.fleet,
        saved=warm.saved,
        cold=cold.spec,
        program=plan.run,
    )
