"""Every language of the catalogue: whether it can run here and how warm, what it needs, and its example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from console.actions import CATALOGUE, bindings
from console.quantities import count
from console.screens.image_form import ImageForm
from console.screens.list_screen import ListScreen
from console.screens.snapshot_form import SnapshotForm
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column, Row
from engine.api import EngineApi
from engine.models import Job, Language, RunRequest

WARM, HAS_IMAGE, NO_IMAGE = Cell("✓ warm", "ok"), Cell("● image", "accent"), Cell("○ no image", "muted")
_MEANINGS = {
    WARM: "runs start from a snapshot",
    HAS_IMAGE: "has an image; runs boot cold, since no snapshot fits",
    NO_IMAGE: "can't run here until an image is built",
}


def state_of(language: Language) -> Cell:
    if not language.ready:
        return NO_IMAGE
    return WARM if language.warm else HAS_IMAGE


class CatalogueScreen(ListScreen[Language]):
    """Lies over the images; ``leave`` goes back to them."""

    MODE = "images"
    PLACE = CATALOGUE
    BINDINGS: ClassVar = bindings(CATALOGUE)
    CSS_PATH = "../styles/stock.tcss"
    HEADING = "Catalogue"
    COLUMNS = (
        Column("LANGUAGE", 18),
        Column("STATE", 10),
        Column("CATEGORY", 12, priority=8),
        Column("IMAGE", 16, priority=7, most=40),
        Column("PKGS", 4, right=True, priority=6),
        Column("TIME", 5, right=True, priority=4),
        Column("MEMORY", 8, right=True, priority=3),
        Column("PACKAGES", 0, priority=2),
    )
    EMPTY = ("The catalogue is empty.",)
    NEEDS_ROW = frozenset(("detail", "open_example", "build", "create"))

    async def fetch(self, api: EngineApi) -> Sequence[Language]:
        return await api.languages()

    def key_of(self, item: Language) -> str:
        return item.id

    def row_of(self, item: Language) -> Row:
        return Row(
            item.id,
            (
                Cell(item.title),
                state_of(item),
                Cell(item.category, "muted"),
                Cell(item.image or "-"),
                Cell(str(len(item.packages)) if item.packages else "-", "muted"),
                Cell(f"{item.timeout_s:g} s", "muted"),
                Cell(f"{item.memory_mib} MiB", "muted"),
                Cell(" ".join(item.packages), "muted"),
            ),
        )

    def note_of(self, items: Sequence[Language]) -> str:
        ready = sum(language.ready for language in items)
        warm = sum(language.warm for language in items)
        return f"{count(len(items), 'language')}, {ready} can run, {warm} warm" if items else ""

    def detail_of(self, item: Language) -> Detail:
        state = state_of(item)
        return Detail(
            item.title,
            (
                Field("Language", item.title),
                Field("State", f"{state.text}: {_MEANINGS[state]}"),
                Field("Category", item.category),
                Field("Names", ", ".join((item.id, *item.aliases))),
                Field("Image", item.image or "none"),
                Field("Packages", " ".join(item.packages) or "none known: name your own"),
                Field("Suite", item.suite or ""),
                Field("Limits", f"{item.timeout_s:g} s, {item.memory_mib} MiB, {count(item.vcpus, 'vCPU')}"),
                Field("File", item.file_name),
                Field("Example", item.example.rstrip("\n")),
            ),
        )

    # --- from here to elsewhere

    def action_leave(self) -> None:
        self.dismiss()

    def action_open_example(self) -> None:
        if (language := self.current) is not None:
            self.app.open_in_scratchpad(RunRequest(language=language.id, code=language.example))

    def action_build(self) -> None:
        if (language := self.current) is not None:
            self.app.push_screen(ImageForm(language), self._started)

    def action_create(self) -> None:
        if (language := self.current) is not None:
            self.app.push_screen(SnapshotForm(language.id), self._started)

    def _started(self, job: Job | None) -> None:
        if job is not None:
            self.app.show_job(job)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        if allowed and action == "create" and self.is_mounted:
            language = self.current
            return True if language is not None and language.ready else None
        return allowed
