"""Root file systems on this host: what each serves, its size, who uses it, and why one can't be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from console.actions import bindings
from console.quantities import ago, count, moment, short_age, size
from console.screens.catalogue import CatalogueScreen
from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from console.screens.image_form import ImageForm
from console.screens.list_screen import ListScreen
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column, Row
from engine.api import EngineApi
from engine.models import Image, Job

_DIGEST_SHOWN = 8


class ImagesScreen(ListScreen[Image]):
    MODE = "images"
    BINDINGS: ClassVar = bindings("images")
    CSS_PATH = "../styles/stock.tcss"
    HEADING = "Images"
    COLUMNS = (
        Column("IMAGE", 20, most=64),
        Column("STATE", 9),
        Column("LANGUAGES", 12, priority=8, most=24),
        Column("ON DISK", 8, right=True, priority=7),
        Column("USERS", 5, right=True, priority=6),
        Column("RUNS", 5, right=True, priority=4),
        Column("PROVEN", 6, right=True, priority=5),
        Column("SIZE", 8, right=True, priority=3),
        Column("DIGEST", 8, priority=3),
        Column("CREATED", 16, priority=2),
        Column("SOURCE", 0, priority=1),
    )
    EMPTY = ("There is no image yet.", "c shows the languages that one can be built for; b builds from any packages.")
    NEEDS_ROW = frozenset(("detail", "add_packages", "remove"))

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
                Cell(str(len(item.used_by)) if item.used_by else "-"),
                Cell(str(item.runs) if item.runs else "-", "muted"),
                Cell(self._proven(item), "muted"),
                Cell(size(item.size_bytes), "muted"),
                Cell(item.digest.removeprefix("sha256:")[:_DIGEST_SHOWN], "muted"),
                Cell(moment(item.created), "muted"),
                Cell(item.source, "muted"),
            ),
        )

    def _proven(self, item: Image) -> str:
        return short_age((self.app.now() - item.proven).total_seconds()) if item.proven else "never"

    def note_of(self, items: Sequence[Image]) -> str:
        if not items:
            return ""
        bad = sum(image.problem is not None for image in items)
        total = size(sum(image.disk_bytes for image in items))
        return f"{count(len(items), 'image')}, {total} on disk" + (f", {bad} with a problem" if bad else "")

    def detail_of(self, item: Image) -> Detail:
        proven = "never: no run succeeded in it"
        if item.proven:
            proven = f"{moment(item.proven)}, {ago((self.app.now() - item.proven).total_seconds())}"
        return Detail(
            f"Image {item.name}",
            (
                Field("Image", item.name),
                Field("Problem", item.problem or "", "error"),
                Field("Languages", ", ".join(item.languages) or "none"),
                Field("Size", f"{size(item.disk_bytes)} on disk, {size(item.size_bytes)} as seen inside"),
                Field("Used by", "\n".join(item.used_by) or "nothing"),
                Field("Runs", str(item.runs)),
                Field("Proven", proven),
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

    # --- catalogue and builds

    def action_catalogue(self) -> None:
        self.app.push_screen(CatalogueScreen())

    def action_build(self) -> None:
        self.app.push_screen(ImageForm(), self._started)

    def action_add_packages(self) -> None:
        if (image := self.current) is not None:
            self.app.push_screen(ImageForm(image), self._started)

    def _started(self, job: Job | None) -> None:
        if job is not None:
            self.app.show_job(job)

    # --- deleting

    def action_remove(self) -> None:
        if (image := self.current) is None:
            return
        if image.used_by:
            self.app.push_screen(DetailDialog(_why_not_deleted(image)))
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


def _why_not_deleted(image: Image) -> Detail:
    return Detail(
        f"Image {image.name} is in use",
        (
            Field("Used by", "\n".join(image.used_by), "warning"),
            Field("Remedy", "Delete these snapshots (4, then D) and wait for these VMs, or kill them (2, then K)."),
        ),
    )
