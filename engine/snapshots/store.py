"""Snapshots on disk: ``snapshots/<name>/{manifest.json,state,memory}``, written once, never changed."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError, SnapshotMismatchError
from engine.models import NAME_PATTERN, Snapshot
from engine.rootfs.staging import in_thread, remove_folder, sha256_file
from engine.settings import Settings
from engine.snapshots.manifest import MANIFEST, MEMORY, STATE, FileRecord, HostFacts, SnapshotManifest, misfit

_BLOCK = 512  # of st_blocks


class StoredSnapshot:
    """A snapshot of the store, whole or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.manifest: SnapshotManifest | None = None
        self.problem: str | None = None
        try:
            self.manifest = SnapshotManifest.model_validate_json((folder / MANIFEST).read_bytes())
        except (OSError, ValidationError) as error:
            self.problem = f"its manifest can't be read: {str(error).splitlines()[0]}"

    @property
    def state(self) -> Path:
        return self.folder / STATE

    @property
    def memory(self) -> Path:
        return self.folder / MEMORY

    def records(self) -> list[tuple[Path, FileRecord]]:
        if self.manifest is None:
            return []
        return [(self.state, self.manifest.state), (self.memory, self.manifest.memory)]


def record(path: Path) -> FileRecord:
    """Digest and identity of a file that will not change any more."""
    info = path.stat()
    return FileRecord(sha256=sha256_file(path), size=info.st_size, mtime_ns=info.st_mtime_ns, inode=info.st_ino)


class SnapshotStore:
    """Lists, judges and removes snapshots. Making one is create.py's."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.snapshots_dir
        self._proven: dict[Path, FileRecord] = {}  # files whose digest this process has computed

    def path(self, name: str) -> Path:
        """Raises InputError for what can't be a name."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise InputError(f"{name[:64]!r} is not a snapshot name", remedy="Use a-z, 0-9, '.', '_', '+' and '-'")
        return self._folder / name

    def all(self) -> list[StoredSnapshot]:
        if not self._folder.is_dir():
            return []
        return [StoredSnapshot(path) for path in sorted(self._folder.iterdir()) if not path.name.startswith(".")]

    def get(self, name: str) -> StoredSnapshot:
        """Raises NotFoundError."""
        folder = self.path(name)
        if not folder.is_dir():
            raise NotFoundError(f"No snapshot is called {name!r}", remedy="List them: vmdeck snapshot list")
        return StoredSnapshot(folder)

    def problem(self, snapshot: StoredSnapshot, facts: HostFacts | None, image_digest: str | None) -> str | None:
        """Why it can't be restored here and now, without reading its files; None where it can."""
        if snapshot.manifest is None:
            return snapshot.problem
        for path, made in snapshot.records():
            try:
                size = path.stat().st_size
            except OSError as error:
                return f"its file {path.name} can't be read: {error.strerror}"
            if size != made.size:
                return f"its file {path.name} has {size} bytes, it was made with {made.size}"
        if facts is None:
            return "no VMM and guest kernel are ready here"
        return misfit(snapshot.manifest, facts, image_digest)

    async def require_whole(self, snapshot: StoredSnapshot) -> None:
        """Digests of files that are not recognisably those that were written.

        Raises SnapshotMismatchError, NotFoundError where it was removed meanwhile.
        """
        try:
            for path, made in snapshot.records():
                await self._require_whole(snapshot.name, path, made)
        except FileNotFoundError as error:
            raise NotFoundError(f"Snapshot {snapshot.name!r} was removed just now", remedy="Start it again") from error

    async def _require_whole(self, name: str, path: Path, made: FileRecord) -> None:
        info = path.stat()
        if (info.st_size, info.st_mtime_ns, info.st_ino) == (made.size, made.mtime_ns, made.inode):
            return
        now = FileRecord(sha256=made.sha256, size=info.st_size, mtime_ns=info.st_mtime_ns, inode=info.st_ino)
        if self._proven.get(path) == now:
            return
        if await asyncio.to_thread(sha256_file, path) != made.sha256:
            raise _changed(name, path)
        self._proven[path] = now

    async def digest_findings(self, snapshot: StoredSnapshot) -> list[str]:
        """Files whose digest is not the manifest's, reading all of them."""
        findings: list[str] = []
        for path, made in snapshot.records():
            try:
                digest = await asyncio.to_thread(sha256_file, path)
            except OSError as error:
                findings.append(f"{path.name} can't be read: {error.strerror}")
                continue
            if digest != made.sha256:
                findings.append(f"{path.name} is not what was written: its SHA-256 differs")
        return findings

    def describe(self, snapshot: StoredSnapshot, problem: str | None) -> Snapshot | None:
        """None where it was removed meanwhile."""
        try:
            described = self._described(snapshot, problem)
        except FileNotFoundError:
            return None
        return described if problem is None or snapshot.folder.exists() else None

    def _described(self, snapshot: StoredSnapshot, problem: str | None) -> Snapshot:
        manifest = snapshot.manifest
        files = {path: path.stat() for path in (snapshot.state, snapshot.memory) if path.exists()}
        memory = files.get(snapshot.memory)
        return Snapshot(
            name=snapshot.name,
            language=manifest.language if manifest else "",
            image=manifest.image if manifest else "",
            image_digest=manifest.image_digest if manifest else "",
            vmm=manifest.vmm if manifest else "",
            vmm_version=manifest.vmm_version if manifest else "",
            accelerator=manifest.accelerator if manifest else "",
            memory_mib=manifest.memory_mib if manifest else 0,
            vcpus=manifest.vcpus if manifest else 0,
            size_bytes=sum(info.st_size for info in files.values()),
            disk_bytes=sum(info.st_blocks * _BLOCK for info in files.values()),
            created=manifest.created if manifest else _created(snapshot.folder),
            warm=manifest.warm if manifest else "",
            fits=problem is None,
            problem=problem,
            shared_bytes=memory.st_blocks * _BLOCK if memory else None,
            manifest=manifest.as_text() if manifest else {},
        )

    async def remove(self, name: str, in_use: set[str]) -> None:
        """Raises NotFoundError, ConflictError while a VM runs from it, NotReadyError where it can't be removed."""
        snapshot = await in_thread(self.get, name)
        if name in in_use:
            raise ConflictError(f"A VM runs from snapshot {name!r}", remedy="Wait for it to end, or kill the VM")
        try:
            await in_thread(remove_folder, snapshot.folder)
        except OSError as error:
            raise NotReadyError(
                f"The snapshot {name} can't be removed: {error.strerror}",
                remedy=f"Check permissions of {self._folder}",
            ) from error


def _created(folder: Path) -> datetime:
    return datetime.fromtimestamp(folder.stat().st_mtime, UTC)


def _changed(name: str, path: Path) -> SnapshotMismatchError:
    return SnapshotMismatchError(
        f"Snapshot {name!r} is not what was written: {path.name} has changed",
        remedy=f"Make it anew: vmdeck snapshot refresh {name}",
    )
