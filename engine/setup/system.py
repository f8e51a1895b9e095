"""Steps that change the host itself: apt's lists, packages, and our folders."""

from __future__ import annotations

import os
import platform
from collections.abc import Awaitable, Callable
from pathlib import Path

from engine.errors import NotReadyError, VmdeckError
from engine.rootfs import command, packages
from engine.rootfs.command import CommandFailedError
from engine.rootfs.initramfs import installed_initramfs
from engine.rootfs.kernel import installed_kernel
from engine.rootfs.progress import Progress
from engine.settings import Settings, is_root
from engine.setup.base import Finding, SetupContext

UPDATE = ("apt-get", "-q", "update")
INSTALL = ("apt-get", "-q", "install", "--yes", "--no-install-recommends")
_QEMU = {"x86_64": ("qemu-system-x86_64", "qemu-system-x86"), "aarch64": ("qemu-system-aarch64", "qemu-system-arm")}
# Packages by the program that shows that they are there.
_TOOLS = {"mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs", "dpkg-deb": "dpkg", "apt-get": "apt"}
_USER_TOOLS = {"newuidmap": "uidmap"}  # without root, building needs a user namespace
_STALE = ("404", "Not Found", "no package", "has no installation candidate", "Unable to locate")


async def check_lists(ctx: SetupContext) -> Finding:
    wanted = _missing(ctx.settings)
    kernel = installed_kernel(ctx.settings)
    if kernel is None:
        wanted.append(f"linux-image-cloud-{await packages.architecture()}")
    if kernel is None or installed_initramfs(ctx.settings, kernel) is None:
        wanted.append("python3-minimal")
    if not wanted:
        return Finding(True, "nothing is left to download")
    if absent := await packages.unknown(wanted):
        return Finding(False, f"apt does not know {', '.join(absent)}", (_shown(UPDATE),))
    return Finding(True, "apt knows all that is needed")


async def apply_lists(ctx: SetupContext, progress: Progress) -> None:
    await _as_root(UPDATE, progress)


async def check_packages(ctx: SetupContext) -> Finding:
    missing = _missing(ctx.settings)
    if missing:
        return Finding(False, f"missing: {', '.join(missing)}", (_shown((*INSTALL, *missing)),))
    return Finding(True, "all installed")


async def apply_packages(ctx: SetupContext, progress: Progress) -> None:
    missing = _missing(ctx.settings)

    async def install() -> None:
        await _as_root((*INSTALL, *missing), progress)

    await with_fresh_lists(install, progress)


async def check_folders(ctx: SetupContext) -> Finding:
    absent = [folder for folder in _folders(ctx.settings) if not folder.is_dir()]
    if absent:
        return Finding(False, f"{ctx.settings.data_dir} is not complete", tuple(f"mkdir -p {path}" for path in absent))
    locked = [folder for folder in _folders(ctx.settings) if not os.access(folder, os.W_OK | os.X_OK)]
    if locked:
        return Finding(False, f"{locked[0]} may not be written", (f"chown it to user {os.getuid()}",))
    return Finding(True, str(ctx.settings.data_dir))


async def apply_folders(ctx: SetupContext, progress: Progress) -> None:
    for folder in _folders(ctx.settings):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotReadyError(
                f"{folder} can't be made: {error.strerror}",
                remedy="Run as root, or set VMDECK_DATA_DIR to a folder that you may write",
            ) from error
        progress(f"{folder}")


async def with_fresh_lists(work: Callable[[], Awaitable[None]], progress: Progress) -> None:
    """Do ``work``; where it fails for apt's lists are older than the archive, update them once and try again."""
    try:
        await work()
    except VmdeckError as error:
        if not is_root() or not any(sign in error.message for sign in _STALE):
            raise
        progress("apt's lists are older than the archive: updating them")
        await _as_root(UPDATE, progress)
        await work()


def _folders(settings: Settings) -> tuple[Path, ...]:
    return (settings.kernels_dir, settings.guest_dir, settings.images_dir, settings.snapshots_dir)


def _missing(settings: Settings) -> list[str]:
    """Packages whose program is not found."""
    tools = dict(_TOOLS) if is_root() else _TOOLS | _USER_TOOLS
    if not settings.qemu_binary:
        program, package = _QEMU.get(platform.machine(), _QEMU["x86_64"])
        tools[program] = package
    return [package for program, package in tools.items() if command.find(program) is None]


async def _as_root(argv: tuple[str, ...], progress: Progress) -> None:
    if not is_root():
        raise NotReadyError("This step needs root", remedy=f"Run: sudo {_shown(argv)}")
    try:
        await command.run(argv, progress=progress, env={"DEBIAN_FRONTEND": "noninteractive"}, package="apt")
    except CommandFailedError as error:
        raise NotReadyError(
            f"`{_shown(argv)}` failed: {error.message}", remedy="Mend what apt names, then run `vmdeck setup` again"
        ) from error


def _shown(argv: tuple[str, ...]) -> str:
    return " ".join(argv)
