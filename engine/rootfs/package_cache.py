"""What builds have downloaded, kept for later ones: ``cache/{apt,pip,npm,tools}`` of the data folder.

Debian packages lie in ``apt`` by the names that apt gives them; a build has them as hard links, so that taking them
costs nothing and removing them here takes nothing from it. ``pip`` and ``npm`` are those tools' own caches; ``tools``
holds programs that builds use on the host. Any number of builds work on it at once; clearing waits for none.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from engine.errors import ConflictError
from engine.models import Leftover
from engine.rootfs.staging import explained, in_thread, remove_abandoned
from engine.settings import Settings

_MIB = 1024 * 1024
APT_KEPT_BYTES = 8192 * _MIB
APT_KEPT_S = 60 * 24 * 3600
_PARTS = {
    "apt": "Debian packages",
    "pip": "wheels",
    "npm": "npm packages",
    "tools": "programs that builds use",
}


class PackageCache:
    """The cache of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.cache_dir
        self.apt = self._folder / "apt"
        self.pip = self._folder / "pip"
        self.npm = self._folder / "npm"
        self.tools = self._folder / "tools"

    @asynccontextmanager
    async def used(self) -> AsyncGenerator[None]:
        """For the time of a build: nothing is removed from the cache meanwhile. Raises NotReadyError."""
        try:
            for name in _PARTS:
                (self._folder / name).mkdir(parents=True, exist_ok=True)
            lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise explained(error, self._folder) from error
        try:
            await in_thread(fcntl.flock, lock, fcntl.LOCK_SH)  # a removal under way is waited for
            yield
        finally:
            os.close(lock)

    def collect(self, archives: Path) -> None:
        """Take the packages that apt has left in ``archives``: it names them so once they are whole and checked.

        None stays there: the files are the cache's own, and other code than apt's runs in that tree later.
        """
        with suppress(FileNotFoundError, PermissionError):  # the build did not come that far
            for package in archives.glob("*.deb"):
                self._keep(package)
                package.unlink()

    def mark_used(self, names: Iterable[str]) -> None:
        """Of packages by their files' names, so that the longest unused go first."""
        for name in names:
            with suppress(FileNotFoundError):
                os.utime(self.apt / name)

    def leftovers(self, *, clear: bool) -> list[Leftover]:
        """What ``remove`` would remove."""
        if clear:
            found = ((name, _disk_bytes(self._folder / name)) for name in _PARTS)
            why = "it can be downloaded again"
            return [_leftover(f"cache/{name}", f"{_PARTS[name]}; {why}", size) for name, size in found if size]
        return [_leftover(f"cache/apt/{path.name}", why, size) for path, why, size in self._over_bounds()]

    def remove(self, *, clear: bool) -> list[Leftover]:
        """What was removed. Raises ConflictError while a build uses the cache, NotReadyError."""
        try:
            lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return []
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed = self.leftovers(clear=clear)
            for each in removed:
                path = self._folder.parent / each.name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            remove_abandoned(self._folder)
            return removed
        except BlockingIOError:
            raise ConflictError(
                "An image is being built with the downloads that would be removed", remedy="Wait for it, or cancel it"
            ) from None
        except OSError as error:
            raise explained(error, self._folder) from error
        finally:
            os.close(lock)

    def _keep(self, package: Path) -> None:
        kept = self.apt / package.name
        try:
            os.link(package, kept)
        except FileExistsError:
            if kept.stat().st_size == package.stat().st_size:
                return
            _replace(kept, package)  # apt did not take the one that was here
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
            _replace(kept, package)

    def _over_bounds(self) -> Iterator[tuple[Path, str, int]]:
        packages: list[tuple[float, Path, int]] = []
        with suppress(FileNotFoundError):
            for path in self.apt.iterdir():
                status = path.stat()
                packages.append((status.st_mtime, path, status.st_blocks * 512))
        kept_bytes = 0
        for used, path, size in sorted(packages, reverse=True):
            kept_bytes += size
            if used < time.time() - APT_KEPT_S:
                yield path, f"no build took it for {APT_KEPT_S // 86400} days", size
            elif kept_bytes > APT_KEPT_BYTES:
                yield path, f"others were taken since, and there are over {APT_KEPT_BYTES // _MIB} MiB of them", size


def _replace(kept: Path, package: Path) -> None:
    """In one step, and across file systems."""
    partial = kept.with_name(f".{kept.name}.{os.getpid()}.{threading.get_ident()}")
    shutil.copyfile(package, partial)
    partial.rename(kept)


def _leftover(name: str, why: str, disk_bytes: int) -> Leftover:
    return Leftover(kind="cache", name=name, why=why, disk_bytes=disk_bytes)


def _disk_bytes(folder: Path) -> int:
    """Of files only: folders of an empty cache are no leftover."""
    size = 0
    for root, _folders, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(root, name).lstat().st_blocks * 512
    return size
