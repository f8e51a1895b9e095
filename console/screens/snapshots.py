"""Warm starting points on this host and in the bucket: whether each fits, how it did, and what can be done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from console.actions import bindings
from console.quantities import UNKNOWN, ago, count, duration_ms, moment, short_age, size
from console.screens.bucket_list import NOT_HERE, BucketList
from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from console.screens.mode_screen import JOB_GOES_ON
from console.screens.snapshot_form import SnapshotForm
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column
from console.widgets.spark import spark
from engine.api import EngineApi
from engine.models import Job, RemoteSnapshot, Snapshot, Verification

_SPARK_CELLS = 12
_FITS, _REFUSED, _PROVING = Cell("✓ fits", "ok"), Cell("✗ refused", "error"), Cell("◐ proving", "accent")
_OUTDATED = Cell("! outdated", "warning")
_WARM_WORDS = {
    "parked": "parked: an interpreter waits",
    "server": "server: it runs, and waits for its client",
    "pagecache": "page cache: the language has run once",
}
_MANIFEST_LABELS = {
    "kernel": "Kernel",
    "kernel_sha256": "  SHA-256",
    "initramfs_digest": "Initramfs",
    "cmdline": "Command line",
    "machine": "Machine",
    "cpu_model": "CPU model",
    "host_cpu": "Host CPU",
    "format": "Format",
    "protocol_version": "Protocol",
    "state": "State file",
    "memory": "Memory file",
}
"""Fields of the manifest that the detail has no words of its own for."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What verifying said, of a snapshot as it was made then."""

    verification: Verification
    at: datetime
    created: datetime


class SnapshotsScreen(BucketList[Snapshot, RemoteSnapshot]):
    MODE = "snapshots"
    KIND = "snapshot"
    BINDINGS: ClassVar = bindings("snapshots")
    CSS_PATH = "../styles/stock.tcss"
    HEADING = "Snapshots"
    COLUMNS = (
        Column("SNAPSHOT", 20, most=64),
        Column("FIT", 10),
        Column("BUCKET", 12),
        Column("LANGUAGE", 10, priority=8),
        Column("MEMORY", 8, right=True, priority=7),
        Column("AGE", 6, right=True, priority=5),
        Column("USED", 5, right=True, priority=5),
        Column("RESTORE", 7, right=True, priority=6),
        Column("RESTORES", _SPARK_CELLS, priority=4),
        Column("SHARED", 8, right=True, priority=3),
        Column("OWN", 8, right=True, priority=3),
        Column("VCPU", 4, right=True, priority=3),
        Column("WARM", 9, priority=2),
        Column("VMM", 16, priority=2),
        Column("IMAGE", 0, priority=1),
    )
    EMPTY = ("There is no snapshot yet: runs boot cold.", "n makes one.")
    BUCKET_COLUMN = 2
    NEEDS_ROW = frozenset(("detail", "remove", "verify", "renew", "upload", "download"))
    NEEDS_HERE = frozenset(("remove", "verify", "renew", "upload"))

    def __init__(self) -> None:
        super().__init__()
        self._proving: set[str] = set()
        self._verdicts: dict[str, _Verdict] = {}

    # --- here and in the bucket

    async def fetch_here(self, api: EngineApi) -> Sequence[Snapshot]:
        return await api.snapshots()

    async def fetch_there(self, api: EngineApi) -> Sequence[RemoteSnapshot]:
        return await api.remote_snapshots()

    async def send(self, api: EngineApi, name: str) -> Job:
        return await api.upload_snapshot(name)

    async def get(self, api: EngineApi, name: str) -> Job:
        return await api.download_snapshot(name)

    def is_same(self, here: Snapshot, there: RemoteSnapshot) -> bool:
        """As the engine saw when the bucket was asked; of one that is new since, its moment tells whether it came from
        there."""
        return here.created == there.created and (there.here or self.is_new_since(here))

    def can_upload(self, here: Snapshot) -> bool:
        return not _is_unreadable(here)

    def upload_words(self, here: Snapshot) -> str:
        if here.outdated:
            return "It can only go where the bucket has the image it was made of; renew it first: u."
        return f"Its image {here.image} goes along where the bucket does not have it."

    def download_words(self, here: Snapshot | None, there: RemoteSnapshot) -> str:
        return f"Its image {there.image} comes along where none of that name is here; another one is never replaced."

    # --- what a row says

    def cells_here(self, item: Snapshot) -> tuple[Cell, ...]:
        return (
            Cell(item.name),
            _PROVING if item.name in self._proving else _fit(item),
            Cell(item.language),
            Cell(f"{item.memory_mib} MiB"),
            Cell(self._since(item.created), "muted"),
            Cell(str(item.runs) if item.runs else UNKNOWN, "muted"),
            Cell(duration_ms(item.restore_ms[0]) if item.restore_ms else UNKNOWN),
            Cell(_restores(item, _SPARK_CELLS), "accent"),
            Cell(size(item.shared_bytes), "muted"),
            Cell(size(_own_bytes(item)), "muted"),
            Cell(str(item.vcpus)),
            Cell(item.warm or UNKNOWN, "muted"),
            Cell(f"{item.vmm} {item.vmm_version} {item.accelerator}", "muted"),
            Cell(item.image, "muted"),
        )

    def cells_there(self, item: RemoteSnapshot) -> tuple[Cell, ...]:
        unknown = Cell(UNKNOWN, "muted")
        return (
            Cell(item.name),
            NOT_HERE,
            Cell(item.language or UNKNOWN),
            Cell(f"{item.memory_mib} MiB" if item.memory_mib else UNKNOWN),
            Cell(self._since(item.created), "muted") if item.created else unknown,
            *(unknown,) * 5,
            Cell(str(item.vcpus) if item.vcpus else UNKNOWN),
            unknown,
            Cell(f"{item.vmm} {item.vmm_version} {item.accelerator}".strip() or UNKNOWN, "muted"),
            Cell(item.image or UNKNOWN, "muted"),
        )

    def _since(self, at: datetime) -> str:
        return short_age((self.app.now() - at).total_seconds())

    def _ago(self, at: datetime) -> str:
        return ago((self.app.now() - at).total_seconds())

    def about_here(self, items: Sequence[Snapshot]) -> str:
        if not items:
            return ""
        total = size(sum(snapshot.disk_bytes for snapshot in items))
        figures = {
            "refused": sum(not snapshot.fits for snapshot in items),
            "outdated": sum(snapshot.outdated for snapshot in items),
            "proving": len(self._proving),
        }
        told = [f"{number} {word}" for word, number in figures.items() if number]
        return ", ".join((count(len(items), "snapshot"), f"{total} on disk", *told))

    def fields_here(self, item: Snapshot) -> tuple[Field, ...]:
        own = _own_bytes(item)
        return (
            Field("Snapshot", item.name),
            *_fit_fields(item),
            *self._verified(item),
            Field("Language", item.language),
            Field("Image", item.image),
            Field("Size", f"{item.memory_mib} MiB, {count(item.vcpus, 'vCPU')}"),
            Field("On disk", f"{size(item.disk_bytes)} of {size(item.size_bytes)}"),
            Field("Shared", f"{size(item.shared_bytes)}: memory that all its VMs have in common"),
            Field("Own", "" if own is None else f"{size(own)}: state that each VM reads for itself"),
            Field("Used", self._used(item)),
            Field("Restores", _restore_times(item)),
            Field("VMM", f"{item.vmm} {item.vmm_version} with {item.accelerator}"),
            Field("Warm", _WARM_WORDS.get(item.warm, item.warm)),
            Field("Created", f"{moment(item.created)}, {self._ago(item.created)}"),
            Field("Image digest", item.image_digest, "muted"),
            *(
                Field(label, item.manifest[key], "muted")
                for key, label in _MANIFEST_LABELS.items()
                if key in item.manifest
            ),
        )

    def fields_there(self, item: RemoteSnapshot) -> tuple[Field, ...]:
        return (
            Field("  Language", item.language),
            Field("  Size", f"{item.memory_mib} MiB, {count(item.vcpus, 'vCPU')}" if item.memory_mib else ""),
            Field("  VMM", f"{item.vmm} {item.vmm_version} with {item.accelerator}" if item.vmm else ""),
            Field("  Image", item.image),
            Field("  Its digest", item.image_digest, "muted"),
        )

    def _used(self, item: Snapshot) -> str:
        if item.last_used is None:
            return "never"
        return f"{count(item.runs, 'run')}, the last {self._ago(item.last_used)}"

    def _started(self, job: Job | None) -> None:
        if job is not None:
            self.app.show_job(job)

    # --- verify

    def _verified(self, item: Snapshot) -> Sequence[Field]:
        """What is known from verifying it, if it still is the one that was verified."""
        if item.name in self._proving:
            return (Field("Verified", "◐ reading its files and running hello in a clone …", "accent"),)
        verdict = self._verdicts.get(item.name)
        if verdict is None or verdict.created != item.created:
            return ()
        when = self._ago(verdict.at)
        if verdict.verification.ok:
            return (Field("Verified", f"✓ its files are as they were made, and a clone works; {when}", "success"),)
        findings = "\n".join(verdict.verification.findings)
        return (Field("Verified", f"✗ not as it was made; {when}\n{findings}", "error"), Field("Remedy", _remedy(item)))

    def action_verify(self) -> None:
        snapshot = self.current_here
        if snapshot is not None and snapshot.name not in self._proving:
            self.ask(self._verify(snapshot), f"verify {snapshot.name}")

    async def _verify(self, snapshot: Snapshot) -> None:
        self._proving.add(snapshot.name)
        self.show_again()
        try:
            api = await self.app.connection.opened()
            verification = await api.verify_snapshot(snapshot.name)
            self._verdicts[snapshot.name] = _Verdict(verification, self.app.now(), snapshot.created)
        finally:
            self._proving.discard(snapshot.name)
            self.show_again()
        self._tell_verdict(snapshot, verification)

    def _tell_verdict(self, snapshot: Snapshot, verification: Verification) -> None:
        """In full where the operator is still here; a dialog must not take the keys from other work."""
        if verification.ok:
            self.app.tell(f"Snapshot {snapshot.name} is as it was made, and a clone of it works.")
        elif self.is_active:
            self.app.push_screen(DetailDialog(Detail(f"Snapshot {snapshot.name}", tuple(self._verified(snapshot)))))
        else:
            self.app.tell(f"Snapshot {snapshot.name} is not as it was made; 4 shows why.", failed=True)

    # --- make, renew, delete

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        here = self.current_here if self.is_mounted else None
        if allowed and action == "renew" and here is not None and _is_unreadable(here):
            return None
        return allowed

    def action_create(self) -> None:
        self.app.push_screen(SnapshotForm(), self._started)

    def action_renew(self) -> None:
        if (snapshot := self.current_here) is not None:
            self.ask_here(self._renew(snapshot.name), self.app.show_job, "renew", late=JOB_GOES_ON)

    async def _renew(self, name: str) -> Job:
        api = await self.app.connection.opened()
        return await api.refresh_snapshot(name)

    def action_remove(self) -> None:
        if (snapshot := self.current_here) is not None:
            late = f"Snapshot {snapshot.name} was not deleted: D asks again."
            self.ask_here(self._users(snapshot), lambda users: self._ask_remove(snapshot, users), "delete", late=late)

    async def _users(self, snapshot: Snapshot) -> Sequence[str]:
        api = await self.app.connection.opened()
        return [vm.id for vm in await api.vms() if vm.snapshot == snapshot.name]

    def _ask_remove(self, snapshot: Snapshot, users: Sequence[str]) -> None:
        if users:
            self.app.push_screen(DetailDialog(_why_not_deleted(snapshot, users)))
            return
        then = f" Runs of {snapshot.language} may boot cold after it." if snapshot.language else ""
        text = f"{size(snapshot.disk_bytes)} will be freed.{then}"

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._remove(snapshot.name), "remove")

        self.app.push_screen(ConfirmDialog(f"Delete snapshot {snapshot.name}?", text, yes="Delete"), answered)

    async def _remove(self, name: str) -> None:
        api = await self.app.connection.opened()
        await api.remove_snapshot(name)
        self.app.tell(f"Snapshot {name} was deleted.")
        self.poll_now()


def _fit(item: Snapshot) -> Cell:
    if not item.fits:
        return _REFUSED
    return _OUTDATED if item.outdated else _FITS


def _fit_fields(item: Snapshot) -> tuple[Field, ...]:
    if not item.fits:
        return (
            Field("Fit", "✗ refused on this host", "error"),
            Field("Reason", item.problem or "", "error"),
            Field("Remedy", _remedy(item)),
        )
    if item.outdated:
        return (
            Field("Fit", "! outdated: its image was built anew since", "warning"),
            Field("Reason", "Only a run that names it starts from it; others boot the newer image."),
            Field("Remedy", _remedy(item)),
        )
    return (Field("Fit", "✓ fits this host", "success"),)


def _is_unreadable(item: Snapshot) -> bool:
    """Whether nobody knows what it was made of, so that it can neither be made anew nor sent."""
    return not item.fits and not item.manifest


def _remedy(item: Snapshot) -> str:
    if _is_unreadable(item):
        return f"Delete it and make another: D, then n, or vmdeck snapshot rm {item.name}, then vmdeck snapshot create"
    return f"Make it anew: u, or vmdeck snapshot refresh {item.name}"


def _own_bytes(item: Snapshot) -> int | None:
    return None if item.shared_bytes is None else item.disk_bytes - item.shared_bytes


def _restores(item: Snapshot, cells: int) -> str:
    """Its last restores, the newest at the right."""
    return spark(item.restore_ms[::-1], cells, max(item.restore_ms)) if item.restore_ms else ""


def _restore_times(item: Snapshot) -> str:
    if not item.restore_ms:
        return ""
    middle = sorted(item.restore_ms)[len(item.restore_ms) // 2]
    last = f"last {duration_ms(item.restore_ms[0])}, of {len(item.restore_ms)} the middle {duration_ms(middle)}"
    return f"{_restores(item, len(item.restore_ms))}  {last}"


def _why_not_deleted(snapshot: Snapshot, users: Sequence[str]) -> Detail:
    return Detail(
        f"Snapshot {snapshot.name} is in use",
        (
            Field("Used by", "\n".join(f"VM {vm_id}" for vm_id in users), "warning"),
            Field("Remedy", "Wait for these VMs to end, or kill them (2, then K)."),
        ),
    )
