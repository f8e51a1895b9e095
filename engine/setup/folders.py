"""The step that makes the data and runtime folders, and mends their owners and modes."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConflictError, NotReadyError
from engine.folders import is_root
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.settings import Settings
from engine.setup.base import Finding, SetupContext
from engine.setup.placing import make_folder

STEP = "folders"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Place:
    """A folder and what it should be. With ``exact`` its mode is just that; else others merely must not write."""

    path: Path
    mode: int
    exact: bool
    named: bool = False  # by the settings; all others are below such a one
    lasting: bool = True  # else it is gone after a boot, and each engine makes it

    @property
    def problem(self) -> str | None:
        """What is wrong with it, None for nothing. Raises OSError where it can't be looked at."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return f"{self.path} is missing" if self.lasting else None
        if not stat.S_ISDIR(found.st_mode):
            return f"{self.path} is no folder"
        if found.st_uid != os.geteuid():
            return f"{self.path} belongs to user {found.st_uid}"
        mode = stat.S_IMODE(found.st_mode)
        if mode != self.wanted(mode):
            return f"{self.path} has mode {mode:o} instead of {self.wanted(mode):o}"
        return None

    @property
    def shared(self) -> str | None:
        """Why one that is there is not setup's to mend, None where it is. Raises OSError."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        if found.st_mode & stat.S_ISVTX:
            return "it is shared by all users"
        if self.named and self.path.is_mount():
            return "it is a file system of its own"
        if self.named and found.st_uid != os.geteuid():
            return f"it belongs to user {found.st_uid}"
        return None

    def wanted(self, mode: int) -> int:
        return self.mode if self.exact else mode & ~_OTHERS_WRITE

    @property
    def mending(self) -> str:
        return f"make {self.path} a folder of user {os.geteuid()} with mode {self.mode:o}"


async def check(ctx: SetupContext) -> Finding:
    wrong: list[tuple[str, str]] = []
    for place in _places(ctx.settings):
        try:
            problem = place.problem
        except OSError as error:
            problem = f"{place.path}: {error.strerror}"
        if problem is not None:
            wrong.append((problem, place.mending))
    if wrong:
        return Finding(False, "; ".join(problem for problem, _ in wrong), tuple(mending for _, mending in wrong))
    return Finding(True, str(ctx.settings.data_dir))


async def apply(ctx: SetupContext, progress: Progress) -> None:
    for line in await in_thread(_mend_all, ctx):
        progress(line)


def _mend_all(ctx: SetupContext) -> list[str]:
    mended: list[str] = []
    for place in _places(ctx.settings):
        try:
            problem = place.problem
            if problem is None:
                continue
            if (reason := place.shared) is not None:
                raise ConflictError(
                    f"{problem}, and is not mended, for {reason}",
                    remedy="Mend it, or let VMDECK_DATA_DIR and VMDECK_RUNTIME_DIR be folders of vmdeck's alone",
                )
            make_folder(ctx.record, STEP, place.path, place.mode)
            found = place.path.stat()
            if found.st_uid != os.geteuid():
                os.chown(place.path, os.geteuid(), os.getegid())
            place.path.chmod(place.wanted(stat.S_IMODE(found.st_mode)))
        except OSError as error:
            raise NotReadyError(
                f"{place.path} can't be made or mended: {error.strerror}",
                remedy="Run as root, or set VMDECK_DATA_DIR and VMDECK_RUNTIME_DIR to folders that you may write",
            ) from error
        mended.append(f"{problem}: mended")
    return mended


def _places(settings: Settings) -> tuple[Place, ...]:
    """Root's data is for all to read, since jailed VMMs of other user ids come to their files through these folders."""
    stores = (settings.kernels_dir, settings.guest_dir, settings.images_dir, settings.snapshots_dir, settings.vmm_dir)
    return (
        Place(settings.data_dir, 0o755, exact=is_root(), named=True),
        *(Place(path, 0o755, exact=is_root()) for path in stores),
        Place(settings.runtime_dir, 0o700, exact=True, named=True, lasting=False),
    )
