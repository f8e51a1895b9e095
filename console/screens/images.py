"""Root file systems on this host: what each serves, its size, and why one can't be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from console.actions import bindings
from console.quantities import count, moment, size
from console.screens.confirm import ConfirmDialog
from console.screens.list_screen import ListScreen
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column, Row
from engine.api import EngineApi
from engine.models import Image


class ImagesScreen(ListScreen[Image]):
    MODE = "images"
    BINDINGS: ClassVar = bindings("images")
    HEADING = "Images"
    COLUMNS = (
        Column("IMAGE", 20, most=64),
        Column("STATE", 10),
        Column("LANGUAGES", 18, priority=8),
        Column("ON DISK", 9, right=True, priority=7),
        Column("SIZE", 9, right=True, priority=3),
        Column("CREATED", 16, priority=5),
        Column("SOURCE", 0, priority=4),
    )
    EMPTY = ("There is no image yet.", "1 and then S sets up the first one; vmdeck rootfs from-debian builds others.")
    NEEDS_ROW = frozenset(("detail", "remove"))

    async def fetch(self, api: EngineApi) -> Sequence[Image]:
        return await api.images()

    def key_of(self, item: Image) -> str:
        return item.name

    def row_of(self, item: Image) -> Row:
        return Row(
            item.name,
            (
                Cell(item.name),
                Cell("✗ problem", "error") if item.problem else Cell("✓ usable", "ok"),
                Cell(", ".join(item.languages) or "-"),
                Cell(size(item.disk_bytes)),
                Cell(size(item.size_bytes), "muted"),
                Cell(moment(item.created), "muted"),
                Cell(item.source, "muted"),
            ),
        )

    def note_of(self, items: Sequence[Image]) -> str:
        if not items:
            return ""
        bad = sum(image.problem is not None for image in items)
        total = size(sum(image.disk_bytes for image in items))
        return f"{count(len(items), 'image')}, {total} on disk" + (f", {bad} with a problem" if bad else "")

    def detail_of(self, item: Image) -> Detail:
        return Detail(
            f"Image {item.name}",
            (
                Field("Image", item.name),
                Field("Problem", item.problem or "", "error"),
                Field("Languages", ", ".join(item.languages) or "none"),
                Field("Size", f"{size(item.disk_bytes)} on disk, {size(item.size_bytes)} as seen inside"),
                Field("Created", moment(item.created)),
                Field("Source", item.source),
                Field("Suite", item.suite or ""),
                Field("Packages", ", ".join(item.packages)),
                Field("User", item.user),
                Field("Work folder", item.workdir),
                Field("Environment", "\n".join(f"{key}={value}" for key, value in item.env.items())),
                Field("Digest", item.digest, "muted"),
                Field("File", item.path, "muted"),
            ),
        )

    def action_remove(self) -> None:
        if (image := self.current) is None:
            return
        text = f"{size(image.disk_bytes)} at {image.path} will be deleted."

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._remove(image.name), "remove")

        self.app.push_screen(ConfirmDialog(f"Delete image {image.name}?", text, yes="Delete"), answered)

    async def _remove(self, name: str) -> None:
        api = await self.app.connection.opened()
        await api.remove_image(name)
        self.app.tell(f"Image {name} was deleted.")
        self.action_refresh_now()
