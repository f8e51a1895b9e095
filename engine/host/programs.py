"""The VMM programs of this host: where each is, which version, and which accelerators it was built with."""

from __future__ import annotations

import asyncio
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.errors import NotReadyError
from engine.host import command
from engine.settings import Settings

QEMU_PACKAGES = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}
_ANSWER_DEADLINE_S = 5.0
_QEMU_VERSION = re.compile(r"QEMU emulator version (\d+(?:\.\d+)+)")


@dataclass(frozen=True, slots=True)
class Program:
    """A VMM that is installed here and answers."""

    path: Path
    version: str
    accelerators: frozenset[str]


def find_qemu(settings: Settings, machine: str = "") -> Path:
    """settings.qemu_binary, or qemu-system-<machine> on PATH. Raises NotReadyError where there is none."""
    machine = machine or platform.machine()
    wanted = settings.qemu_binary or f"qemu-system-{machine}"
    found = shutil.which(wanted)
    if found is not None:
        return Path(found)
    if settings.qemu_binary:
        raise NotReadyError(
            f"{wanted}, which the settings name as QEMU, is not a program that this user can run",
            remedy="Correct qemu_binary in the settings, or leave it empty to look for QEMU on PATH.",
        )
    package = QEMU_PACKAGES.get(machine)
    install = f"Install it: apt-get install {package}" if package else "Install it"
    raise NotReadyError(
        f"QEMU is not installed: {wanted} is not on PATH", remedy=f"{install}, or run: vmdeck setup. Then try again."
    )


async def qemu_program(settings: Settings, machine: str = "") -> Program:
    """Find QEMU and ask it what it is, which takes about 0.1 s. Raises NotReadyError where it is missing or broken."""
    path = find_qemu(settings, machine)
    version_text, help_text = await asyncio.gather(_ask(path, "--version"), _ask(path, "-accel", "help"))
    match = _QEMU_VERSION.search(version_text)
    if match is None:
        raise NotReadyError(
            f"{path} is not QEMU: asked for its version it says {version_text.strip()[:100]!r}",
            remedy="Correct qemu_binary in the settings, or leave it empty to look for QEMU on PATH.",
        )
    return Program(path, match[1], frozenset(help_text.split("\n", 1)[-1].split()))


async def _ask(path: Path, *question: str) -> str:
    remedy = f"Install QEMU again, and try by hand: {path} {' '.join(question)}"
    try:
        answer = await command.output([str(path), *question], deadline_s=_ANSWER_DEADLINE_S)
    except (OSError, TimeoutError) as error:
        how = f"no answer within {_ANSWER_DEADLINE_S:g} s" if isinstance(error, TimeoutError) else str(error)
        raise NotReadyError(f"QEMU at {path} does not run: {how}", remedy=remedy) from None
    if answer.status != 0:
        raise NotReadyError(f"QEMU at {path} does not run: status {answer.status}, {answer.last_words}", remedy=remedy)
    return answer.stdout
