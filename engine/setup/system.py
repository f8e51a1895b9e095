"""Steps that change the host's packages: apt's lists, and what vmdeck drives; by apt on Debian and its kin.

Elsewhere nothing is installed: the steps tell the commands."""

from __future__ import annotations

import platform
import re
from collections.abc import Awaitable, Callable, Sequence

from engine.errors import ConflictError, NotReadyError, VmdeckError
from engine.folders import is_root
from engine.models import SetupTrace
from engine.rootfs import command, packages
from engine.rootfs.archive import Archive
from engine.rootfs.command import CommandFailedError
from engine.rootfs.initramfs import installed_initramfs
from engine.rootfs.kernel import Kernel, installed_kernel
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.settings import Settings
from engine.setup.base import PACKAGED_KERNEL, Finding, SetupContext, made
from engine.setup.distribution import Distribution, instructions

UPDATE = ("apt-get", "-q", "update")
WAITING = ("-o", "DPkg::Lock::Timeout=120")  # seconds for another that changes packages, as a host does by itself
INSTALL = ("apt-get", "-q", *WAITING, "install", "--yes", "--no-install-recommends", "--no-remove")
UNASKED = {"DEBIAN_FRONTEND": "noninteractive"}
_QEMU = {"x86_64": ("qemu-system-x86_64", "qemu-system-x86"), "aarch64": ("qemu-system-aarch64", "qemu-system-arm")}
# Packages by the program that shows that they are there.
_TOOLS = {"mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs", "dpkg-deb": "dpkg", "apt-get": "apt"}
_USER_TOOLS = {"newuidmap": "uidmap"}  # without root, building needs a user namespace
_STALE = ("404", "Not Found", "no package", "has no installation candidate", "Unable to locate")


async def check_lists(ctx: SetupContext) -> Finding:
    if not (distribution := Distribution.here()).by_package:
        return Finding(False, f"{distribution.name} has no apt that setup could use", skipped=True)
    wanted = _missing(ctx.settings)
    kernel = installed_kernel(ctx.settings)
    if _takes_packaged(ctx, kernel):
        wanted.append(Archive.here().meta.format(arch=await packages.architecture()))
    skips = kernel is None and "kernel" in ctx.options.skip  # no initramfs without it, either
    if not skips and (kernel is None or installed_initramfs(ctx.settings, kernel) is None):
        wanted.append("python3-minimal")
    if not wanted:
        return Finding(True, "nothing is left to download")
    if absent := await packages.unknown(wanted):
        return Finding(False, f"apt does not know {', '.join(absent)}", (_shown(UPDATE),))
    return Finding(True, "apt knows all that is needed")


async def apply_lists(ctx: SetupContext, progress: Progress) -> None:
    await as_root(UPDATE, progress)


async def check_packages(ctx: SetupContext) -> Finding:
    missing = _missing(ctx.settings)
    if not missing:
        return Finding(True, "all installed")
    seen = f"missing: {', '.join(missing)}"
    if not (distribution := Distribution.here()).by_package:
        told = instructions(missing)
        return Finding(False, f"{seen}; on {distribution.name} they are yours to install", told)
    return Finding(False, seen, (_shown((*INSTALL, *missing)),))


async def apply_packages(ctx: SetupContext, progress: Progress) -> None:
    await install(ctx, "packages", _missing(ctx.settings), progress)


async def install(ctx: SetupContext, step: str, packages: Sequence[str], progress: Progress) -> None:
    """Install Debian packages by apt; all that come with them and were not here are recorded as made by ``step``.

    Raises NotReadyError, on a system without apt with the commands that would do it there.
    """
    if not (distribution := Distribution.here()).by_package:
        lines = "\n".join(instructions(packages))
        raise NotReadyError(f"setup installs nothing on {distribution.name}", remedy=f"Run what fits:\n{lines}")

    async def with_apt() -> None:
        newcomers = await _newcomers(packages)
        traces = [made(step, "package", name) for name in newcomers]
        try:
            await in_thread(_note, ctx, traces)
            await as_root((*INSTALL, *packages), progress)
        except BaseException:
            await _forget_absent(ctx, traces)
            raise

    await with_fresh_lists(with_apt, progress)


async def forget_absent(ctx: SetupContext) -> None:
    """Drop the notes of packages that are not here: a setup was killed before it installed them, or they went since.

    Whoever installs them later is not setup.
    """
    recorded = [trace for trace in await in_thread(ctx.traces) if trace.kind == "package"]
    if recorded:
        await _forget_absent(ctx, recorded)


async def _forget_absent(ctx: SetupContext, traces: Sequence[SetupTrace]) -> None:
    there = await installed()
    if absent := [trace for trace in traces if trace.what not in there]:
        await in_thread(ctx.forget, *absent)


async def installed() -> set[str]:
    """Names of all packages that are wholly installed here."""
    told = await command.run(["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n"], package="dpkg")
    return {line.split()[1] for line in told.splitlines() if line.startswith("installed ")}


def _note(ctx: SetupContext, traces: Sequence[SetupTrace]) -> None:
    for trace in traces:
        ctx.record(trace)


async def _newcomers(packages: Sequence[str]) -> list[str]:
    """Packages that installing ``packages`` would bring, without those that it would only renew. Told by apt itself.

    Raises ConflictError where others would have to go for them.
    """
    require_root((*INSTALL, *packages))
    looking = [*INSTALL, "--simulate", "--remove", *packages]  # the last one counts, so that apt names what would go
    try:
        told = await command.run(looking, env=UNASKED, package="apt")
    except CommandFailedError as error:
        raise NotReadyError(
            f"apt can't install {', '.join(packages)}: {error.message}", remedy="Mend what apt names, then try again"
        ) from error
    if going := re.findall(r"^(?:Remv|Purg) (\S+)", told, re.MULTILINE):
        raise ConflictError(
            f"apt would remove {', '.join(going)} to install {', '.join(packages)}",
            remedy="Leave out the step that needs them, or decide by hand which of them stay",
        )
    # "Inst name (new ...)", and with the old version in brackets before it where the package is here already.
    return re.findall(r"^Inst (\S+) \(", told, re.MULTILINE)


async def with_fresh_lists(work: Callable[[], Awaitable[None]], progress: Progress) -> None:
    """Do ``work``; where it fails for apt's lists are older than the archive, update them once and try again."""
    try:
        await work()
    except VmdeckError as error:
        if not is_root() or not any(sign in error.message for sign in _STALE):
            raise
        progress("apt's lists are older than the archive: updating them")
        await as_root(UPDATE, progress)
        await work()


def _takes_packaged(ctx: SetupContext, kernel: Kernel | None) -> bool:
    """Whether the step ``kernel`` will take the distribution's. ``kernel`` is what is installed."""
    if "kernel" in ctx.options.skip:
        return False
    if ctx.options.kernel is None:
        return kernel is None
    return ctx.options.kernel == PACKAGED_KERNEL and (kernel is None or kernel.brought)


def _missing(settings: Settings) -> list[str]:
    """Packages whose program is not found."""
    tools = {**_TOOLS, **Archive.here().tools, **({} if is_root() else _USER_TOOLS)}
    if not settings.qemu_binary:
        program, package = _QEMU.get(platform.machine(), _QEMU["x86_64"])
        tools[program] = package
    return [package for program, package in tools.items() if command.find(program) is None]


async def as_root(argv: Sequence[str], progress: Progress) -> None:
    """Run a program that changes the host's packages. Raises NotReadyError with what to do, without root too."""
    require_root(argv)
    try:
        await command.run(argv, progress=progress, env=UNASKED, package="apt")
    except CommandFailedError as error:
        raise NotReadyError(
            f"`{_shown(argv)}` failed: {error.message}", remedy="Mend what apt names, then run `vmdeck setup` again"
        ) from error


def require_root(argv: Sequence[str]) -> None:
    """Raises NotReadyError that names the command for sudo."""
    if not is_root():
        raise NotReadyError("This step needs root", remedy=f"Run: sudo {_shown(argv)}")


def _shown(argv: Sequence[str]) -> str:
    return " ".join(argv)
