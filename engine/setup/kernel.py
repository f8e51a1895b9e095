"""The step for the guest kernel: the distribution's, or one that the operator brings as a file or a URL."""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import InputError, NotReadyError
from engine.models import SetupTrace
from engine.rootfs.archive import Archive
from engine.rootfs.kernel import CHOSEN, choice_note, choose_kernel, installed_kernel
from engine.rootfs.own_kernel import (
    MAX_KERNEL_BYTES,
    examine,
    find_modules,
    install_own_kernel,
    own_kernel_id,
)
from engine.rootfs.progress import Progress, within
from engine.rootfs.staging import in_thread, sha256_file
from engine.settings import Settings
from engine.setup import artefacts
from engine.setup.base import PACKAGED_KERNEL, Finding, SetupContext
from engine.setup.fetch import brought
from engine.setup.partial import partial_folder
from engine.setup.source import Source, shown

STEP = "kernel"
_WITH_DIGEST = re.compile(r"(?P<url>[^#]+)#sha256=(?P<sha256>[0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class KernelSetup:
    """``check`` and ``apply`` of the step. ``trust`` is for the download of a kernel."""

    trust: ssl.SSLContext | None = None

    async def check(self, ctx: SetupContext) -> Finding:
        """Raises InputError for an option that names no kernel."""
        wanted = ctx.options.kernel
        if STEP in ctx.options.skip:
            return Finding(True, "left out, as asked", skipped=True)
        if wanted is None:
            return await artefacts.check_kernel(ctx)
        kernel = installed_kernel(ctx.settings)
        now = kernel.id if kernel else "none here"
        if wanted == PACKAGED_KERNEL:
            done = kernel is not None and not kernel.brought
            return Finding(done, now, () if done else (f"take {Archive.here().kernel}, by download",))
        digest = await _digest(wanted)
        if kernel is not None and kernel.manifest.source_sha256 == digest:
            return Finding(True, f"{now} ({kernel.version}), which was brought")
        where = ctx.settings.kernels_dir / own_kernel_id(digest)
        return Finding(False, now, (f"make {where} of {_told(wanted)} (SHA-256 {digest})",))

    async def apply(self, ctx: SetupContext, progress: Progress) -> None:
        """Raises InputError, ConflictError, NotReadyError."""
        wanted = ctx.options.kernel
        if wanted in (None, PACKAGED_KERNEL):
            await artefacts.apply_kernel(ctx, progress)
            choose_kernel(ctx.settings, None)
        elif _is_url(wanted):
            await self._download_and_install(ctx, _source(wanted), progress)
        else:
            file = Path(wanted).resolve()
            await _install(ctx, file, str(file), file.parent, progress)

    async def _download_and_install(self, ctx: SetupContext, source: Source, progress: Progress) -> None:
        place = ctx.settings.kernels_dir / own_kernel_id(source.sha256)
        ctx.record(_trace(partial_folder(place, source.sha256)))
        async with brought(source, place, within(progress, 0, 0.6), ctx.options.offline, self.trust) as file:
            await _install(ctx, file, shown(source.url), None, within(progress, 0.6, 1))


async def _install(ctx: SetupContext, file: Path, source: str, beside: Path | None, progress: Progress) -> None:
    kernel = await in_thread(examine, file)
    ctx.record(_trace(ctx.settings.kernels_dir / kernel.id))
    ctx.record(_choice_trace(ctx.settings, kernel.id))
    modules = find_modules(kernel.version, beside)
    await install_own_kernel(ctx.settings, kernel, source, modules, progress)


async def _digest(wanted: str) -> str:
    """SHA-256 of the kernel that the option names. Raises InputError where it names none."""
    if _is_url(wanted):
        return _source(wanted).sha256
    try:
        return await in_thread(sha256_file, Path(wanted))
    except OSError as error:
        raise NotReadyError(
            f"The kernel {wanted} can't be read: {error.strerror}",
            remedy=f"Name a kernel file, {PACKAGED_KERNEL}, or https://...#sha256=<its digest>",
        ) from None


def _is_url(wanted: str) -> bool:
    return "://" in wanted


def _source(wanted: str) -> Source:
    match = _WITH_DIGEST.fullmatch(wanted)
    if match is None:
        raise InputError(
            f"{shown(wanted)} has no digest, and nothing is downloaded without",
            remedy="Put it behind the URL: #sha256=<64 hexadecimal digits>",
        )
    return Source(match["url"], match["sha256"].lower(), MAX_KERNEL_BYTES)


def _told(wanted: str) -> str:
    return shown(wanted) if _is_url(wanted) else wanted


def _trace(folder: Path) -> SetupTrace:
    return SetupTrace(step=STEP, kind="folder", what=str(folder), at=datetime.now(UTC))


def _choice_trace(settings: Settings, kernel_id: str) -> SetupTrace:
    """Of the note that this kernel is chosen; undo leaves the note where another has been chosen since."""
    digest = hashlib.sha256(choice_note(kernel_id)).hexdigest()
    path = settings.kernels_dir / CHOSEN
    return SetupTrace(step=STEP, kind="file", what=str(path), sha256=digest, at=datetime.now(UTC))
