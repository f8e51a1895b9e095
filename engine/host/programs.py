"""The VMM programs of this host: where each is, which version, and which accelerators it was built with."""

from __future__ import annotations

import asyncio
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.errors import NotReadyError
from engine.folders import is_root
from engine.host import command
from engine.host.firecracker_release import parsed, refuse_unfit
from engine.host.jailer_needs import require_jailable
from engine.settings import Settings

QEMU_PACKAGES = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}
_ANSWER_DEADLINE_S = 5.0
FIRECRACKER, JAILER = "firecracker", "jailer"
_FIRECRACKER_VERSION = re.compile(r"(?:Firecracker|Jailer) v(\S+)")
_QEMU_VERSION = re.compile(r"QEMU emulator version (\d+(?:\.\d+)+)")


@dataclass(frozen=True, slots=True)
class Program:
    """A VMM that is installed here and answers."""

    path: Path
    version: str
    accelerators: frozenset[str]
    jailer: Path | None = None


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


def find_firecracker(settings: Settings) -> Path:
    """settings.firecracker_binary, else the newest that setup installed, else the one on PATH. Raises NotReadyError."""
    if settings.firecracker_binary:
        found = shutil.which(settings.firecracker_binary)
        if found is None:
            raise NotReadyError(
                f"{settings.firecracker_binary}, which the settings name as Firecracker, is not a program that this "
                "user can run",
                remedy="Correct firecracker_binary in the settings, or leave it empty.",
            )
        return Path(found)
    installed = sorted(settings.vmm_dir.glob(f"{FIRECRACKER}-*/{FIRECRACKER}"), key=_release_of)
    on_path = shutil.which(FIRECRACKER)
    if not installed and on_path is None:
        raise NotReadyError("Firecracker is not installed", remedy="Install it: vmdeck setup. Then try again.")
    return installed[-1] if installed else Path(str(on_path))


async def firecracker_program(settings: Settings) -> Program:
    """Find Firecracker, and its jailer unless settings.jail is off, and ask both for their version: a few ms.

    Raises NotReadyError where either is missing, broken, unfit or of another release, or where the jailer would not
    work for this user or on this host.
    """
    path = find_firecracker(settings)
    # The jailer names its folders after what a link leads to, which must be where we look for them, too.
    real = path.resolve()
    version = await firecracker_release(path)
    refuse_unfit(version)
    if settings.jail == "off":
        return Program(real, version, frozenset({"kvm"}))
    if not is_root():
        raise NotReadyError(
            "Firecracker's jailer needs root, and this is another user",
            remedy='Run vmdeck as root, as the service does, or set jail = "off" to do without.',
        )
    require_jailable(settings.jails_dir)
    jailer = Path(shutil.which(settings.jailer_binary or path.with_name(JAILER)) or "")
    if not jailer.name:
        raise NotReadyError(
            f"There is no {settings.jailer_binary or path.with_name(JAILER)}, and Firecracker runs in its jail here",
            remedy='Install it: vmdeck setup; or name it as jailer_binary in the settings, or set jail = "off".',
        )
    if (theirs := await firecracker_release(jailer)) != version:
        raise NotReadyError(
            f"{jailer} is of release {theirs}, and {path} of {version}", remedy="Install both of one release."
        )
    return Program(real, version, frozenset({"kvm"}), jailer.resolve())


async def firecracker_release(path: Path) -> str:
    """Ask Firecracker or its jailer of which release it is, as "1.16.1". Raises NotReadyError where it does not say."""
    text = await _ask(path, "--version")
    match = _FIRECRACKER_VERSION.search(text)
    if match is None:
        raise NotReadyError(
            f"{path} is not of Firecracker: asked for its version it says {text.strip()[:100]!r}",
            remedy="Correct firecracker_binary and jailer_binary in the settings, or leave them empty.",
        )
    return match[1]


def _release_of(binary: Path) -> tuple[int, ...]:
    try:
        return parsed(binary.parent.name.removeprefix(f"{FIRECRACKER}-"))
    except NotReadyError:
        return ()


async def _ask(path: Path, *question: str) -> str:
    remedy = f"Install it again, and try by hand: {path} {' '.join(question)}"
    try:
        answer = await command.output([str(path), *question], deadline_s=_ANSWER_DEADLINE_S)
    except (OSError, TimeoutError) as error:
        how = f"no answer within {_ANSWER_DEADLINE_S:g} s" if isinstance(error, TimeoutError) else str(error)
        raise NotReadyError(f"{path} does not run: {how}", remedy=remedy) from None
    if answer.status != 0:
        raise NotReadyError(f"{path} does not run: status {answer.status}, {answer.last_words}", remedy=remedy)
    return answer.stdout
