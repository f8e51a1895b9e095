"""Warm starting points on this host: whether each fits, and making, verifying and deleting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from console.actions import bindings
from console.quantities import count, moment, size
from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from console.screens.list_screen import ListScreen
from console.screens.snapshot_form import SnapshotForm
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column, Row
from engine.api import EngineApi
from engine.models import CreateSnapshotRequest, Snapshot


class SnapshotsScreen(ListScreen[Snapshot]):
    MODE = "snapshots"
    BINDINGS: ClassVar = bindings("snapshots")
    HEADING = "Snapshots"
    COLUMNS = (
        Column("SNAPSHOT", 22, most=64),
        Column("FIT", 9),
        Column("LANGUAGE", 10, priority=8),
        Column("MEMORY", 8, right=True, priority=7),
        Column("VCPU", 4, right=True, priority=6),
        Column("ON DISK", 8, right=True, priority=5),
        Column("WARM", 9, priority=3),
        Column("VMM", 16, priority=3),
        Column("CREATED", 16, priority=3),
        Column("IMAGE", 0, priority=2),
    )
    EMPTY = ("There is no snapshot yet: runs boot cold.", "n makes one.")
    NEEDS_ROW = frozenset(("detail", "remove", "verify"))

    async def fetch(self, api: EngineApi) -> Sequence[Snapshot]:
        return await api.snapshots()

    def key_of(self, item: Snapshot) -> str:
        return item.name

    def row_of(self, item: Snapshot) -> Row:
        return Row(
            item.name,
            (
                Cell(item.name),
                Cell("✓ fits", "ok") if item.fits else Cell("✗ refused", "error"),
                Cell(item.language),
                Cell(f"{item.memory_mib} MiB"),
                Cell(str(item.vcpus)),
                Cell(size(item.disk_bytes)),
                Cell(item.warm or "-", "muted"),
                Cell(f"{item.vmm} {item.vmm_version} {item.accelerator}", "muted"),
                Cell(moment(item.created), "muted"),
                Cell(item.image, "muted"),
            ),
        )

    def note_of(self, items: Sequence[Snapshot]) -> str:
        if not items:
            return ""
        refused = sum(not snapshot.fits for snapshot in items)
        total = size(sum(snapshot.disk_bytes for snapshot in items))
        return f"{count(len(items), 'snapshot')}, {total} on disk" + (f", {refused} refused here" if refused else "")

    def detail_of(self, item: Snapshot) -> Detail:
        return Detail(
            f"Snapshot {item.name}",
            (
                Field("Snapshot", item.name),
                Field(
                    "Fit",
                    "fits this host" if item.fits else "refused on this host",
                    "success" if item.fits else "error",
                ),
                Field("Reason", item.problem or "", "error"),
                Field("Language", item.language),
                Field("Image", item.image),
                Field("Size", f"{item.memory_mib} MiB, {count(item.vcpus, 'vCPU')}"),
                Field("On disk", f"{size(item.disk_bytes)} of {size(item.size_bytes)}"),
                Field("VMM", f"{item.vmm} {item.vmm_version} with {item.accelerator}"),
                Field("Warm", {"parked": "parked: an interpreter waits"}.get(item.warm, item.warm)),
                Field("Created", moment(item.created)),
                Field("Image digest", item.image_digest, "muted"),
            ),
        )

    # --- make, verify, delete

    def action_create(self) -> None:
        def answered(request: CreateSnapshotRequest | None) -> None:
            if request is not None:
                self.ask(self._create(request), "create")

        self.app.push_screen(SnapshotForm(), answered)

    async def _create(self, request: CreateSnapshotRequest) -> None:
        api = await self.app.connection.opened()
        self.app.show_job(await api.create_snapshot(request))

    def action_verify(self) -> None:
        if (snapshot := self.current) is not None:
            self.app.tell(f"Reading snapshot {snapshot.name} …")
            self.ask(self._verify(snapshot.name), "verify")

    async def _verify(self, name: str) -> None:
        api = await self.app.connection.opened()
        verdict = await api.verify_snapshot(name)
        state = Field("Verdict", "its files are as they were made", "success")
        if not verdict.ok:
            state = Field("Verdict", "not as it was made", "error")
        detail = Detail(f"Snapshot {name}", (state, Field("Findings", "\n".join(verdict.findings))))
        self.app.push_screen(DetailDialog(detail))

    def action_remove(self) -> None:
        if (snapshot := self.current) is None:
            return
        text = f"{size(snapshot.disk_bytes)} will be freed. Runs of {snapshot.language} may boot cold after it."

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._remove(snapshot.name), "remove")

        self.app.push_screen(ConfirmDialog(f"Delete snapshot {snapshot.name}?", text, yes="Delete"), answered)

    async def _remove(self, name: str) -> None:
        api = await self.app.connection.opened()
        await api.remove_snapshot(name)
        self.app.tell(f"Snapshot {name} was deleted.")
        self.action_refresh_now()
