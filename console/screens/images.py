"""Root file systems on this host and in the bucket: what each serves, its size, who uses it, why one can't be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from console.actions import bindings
from console.language_facts import version_number
from console.quantities import UNKNOWN, ago, count, moment, short_age, size
from console.screens.bucket_list import NOT_HERE, BucketList
from console.screens.catalogue import CatalogueScreen
from console.screens.confirm import ConfirmDialog
from console.screens.detail import DetailDialog
from console.screens.image_form import ImageForm
from console.screens.prune_dialog import PRUNES, Leftovers, PruneDialog
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column
from engine.api import EngineApi
from engine.models import Image, Job, PruneRequest, RemoteImage

_DIGEST_SHOWN = 8


class ImagesScreen(BucketList[Image, RemoteImage]):
    MODE = "images"
    KIND = "image"
    BINDINGS: ClassVar = bindings("images")
    CSS_PATH = "../styles/stock.tcss"
    HEADING = "Images"
    COLUMNS = (
        Column("IMAGE", 16, most=64),
        Column("STATE", 10),
        Column("BUCKET", 12),
        Column("VERSION", 12, priority=8, most=32),
        Column("LANGUAGES", 12, priority=7, most=24),
        Column("ON DISK", 8, right=True, priority=8),
        Column("USERS", 5, right=True, priority=6),
        Column("RUNS", 5, right=True, priority=4),
        Column("PROVEN", 6, right=True, priority=5),
        Column("SIZE", 8, right=True, priority=3),
        Column("DIGEST", 8, priority=3),
        Column("CREATED", 16, priority=2),
        Column("SOURCE", 0, priority=1),
    )
    BUCKET_COLUMN = 2
    EMPTY = ("There is no image yet.", "c shows the languages that one can be built for; b builds from any packages.")
    NEEDS_ROW = frozenset(("detail", "add_packages", "remove", "upload", "download"))
    NEEDS_HERE = frozenset(("add_packages", "remove", "upload"))

    # --- here and in the bucket

    async def fetch_here(self, api: EngineApi) -> Sequence[Image]:
        return await api.images()

    async def fetch_there(self, api: EngineApi) -> Sequence[RemoteImage]:
        return await api.remote_images()

    async def send(self, api: EngineApi, name: str) -> Job:
        return await api.upload_image(name)

    async def get(self, api: EngineApi, name: str) -> Job:
        return await api.download_image(name)

    def is_same(self, here: Image, there: RemoteImage) -> bool:
        return here.digest == there.digest

    def can_upload(self, here: Image) -> bool:
        return here.problem is None

    def upload_words(self, here: Image) -> str:
        return f"Its digest is {_digest(here.digest)}."

    def download_words(self, here: Image | None, there: RemoteImage) -> str:
        made = 0 if here is None else sum(user.startswith("snapshot ") for user in here.used_by)
        if not made:
            return ""
        return f"Runs then boot cold until its {count(made, 'snapshot is', 'snapshots are')} refreshed (4, then u)."

    # --- what a row says

    def cells_here(self, item: Image) -> tuple[Cell, ...]:
        return (
            Cell(item.name),
            Cell("✗ problem", "error") if item.problem else Cell("✓ usable", "ok"),
            Cell(version_number(item.version)),
            Cell(", ".join(item.languages) or UNKNOWN),
            Cell(size(item.disk_bytes), value=item.disk_bytes),
            Cell(str(len(item.used_by)) if item.used_by else UNKNOWN),
            Cell(str(item.runs) if item.runs else UNKNOWN, "muted"),
            Cell(self._proven(item), "muted"),
            Cell(size(item.size_bytes), "muted", item.size_bytes),
            Cell(_digest(item.digest), "muted"),
            Cell(moment(item.created), "muted"),
            Cell(item.source, "muted"),
        )

    def cells_there(self, item: RemoteImage) -> tuple[Cell, ...]:
        unknown = Cell(UNKNOWN, "muted")
        return (
            Cell(item.name),
            NOT_HERE,
            unknown,
            Cell(", ".join(item.languages) or UNKNOWN),
            *(unknown,) * 4,
            Cell(size(item.size_bytes), "muted", item.size_bytes),
            Cell(_digest(item.digest) or UNKNOWN, "muted"),
            Cell(moment(item.created), "muted") if item.created else unknown,
            Cell(item.source or UNKNOWN, "muted"),
        )

    def _proven(self, item: Image) -> str:
        return short_age((self.app.now() - item.proven).total_seconds()) if item.proven else "never"

    def about_here(self, items: Sequence[Image]) -> str:
        if not items:
            return ""
        bad = sum(image.problem is not None for image in items)
        total = size(sum(image.disk_bytes for image in items))
        return f"{count(len(items), 'image')}, {total} on disk" + (f", {bad} with a problem" if bad else "")

    def fields_here(self, item: Image) -> tuple[Field, ...]:
        proven = "never: no run succeeded in it"
        if item.proven:
            proven = f"{moment(item.proven)}, {ago((self.app.now() - item.proven).total_seconds())}"
        return (
            Field("Image", item.name),
            Field("Problem", item.problem or "", "error"),
            Field("Languages", ", ".join(item.languages) or "none"),
            Field("Version", item.version or ""),
            Field("Size", f"{size(item.disk_bytes)} on disk, {size(item.size_bytes)} as seen inside"),
            Field("Used by", "\n".join(item.used_by) or "nothing"),
            Field("Runs", str(item.runs)),
            Field("Proven", proven),
            Field("Created", moment(item.created)),
            Field("Source", item.source),
            Field("Suite", item.suite or ""),
            Field("Packages", ", ".join(item.packages)),
            Field("Wheels", ", ".join(item.pypi)),
            Field("npm packages", ", ".join(item.npm)),
            Field("Would differ", "\n".join(item.varies)),
            Field("User", item.user),
            Field("Work folder", item.workdir),
            Field("Environment", "\n".join(f"{key}={value}" for key, value in item.env.items())),
            Field("Digest", item.digest, "muted"),
            Field("Docker's id", item.source_id, "muted"),
            Field("File", item.path, "muted"),
        )

    def fields_there(self, item: RemoteImage) -> tuple[Field, ...]:
        return (
            Field("  Languages", ", ".join(item.languages)),
            Field("  Source", item.source),
            Field("  Digest", item.digest, "muted"),
        )

    # --- catalogue and builds

    def action_catalogue(self) -> None:
        self.app.push_screen(CatalogueScreen())

    def action_build(self) -> None:
        self.app.push_screen(ImageForm(), self._started)

    def action_add_packages(self) -> None:
        if (image := self.current_here) is not None:
            self.app.push_screen(ImageForm(image), self._started)

    def _started(self, job: Job | None) -> None:
        if job is not None:
            self.app.show_job(job)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        image = self.current_here if self.is_mounted else None
        if allowed and action == "add_packages" and image is not None:
            return bool(image.packages or image.pypi or image.npm) or None  # one of Docker's takes none
        return allowed

    # --- removing

    def action_remove(self) -> None:
        if (image := self.current_here) is None:
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
        self.poll_now()

    def action_prune(self) -> None:
        self.ask_here(self._leftovers(), self._ask_prune, "prune", late="Nothing was removed: P asks again.")

    async def _leftovers(self) -> Leftovers:
        api = await self.app.connection.opened()
        return {cache: await api.leftovers(PruneRequest(cache=cache)) for cache in PRUNES}

    def _ask_prune(self, leftovers: Leftovers) -> None:
        if not any(leftovers.values()):
            self.app.tell("There is nothing to remove: each build is in use, and no download is kept.")
            return

        def answered(request: PruneRequest | None) -> None:
            if request is not None:
                self.ask(self._prune(request), "prune")

        self.app.push_screen(PruneDialog(leftovers), answered)

    async def _prune(self, request: PruneRequest) -> None:
        api = await self.app.connection.opened()
        gone = await api.prune(request)
        self.app.tell(f"{count(len(gone), 'leftover')} removed, {size(sum(each.disk_bytes for each in gone))} freed.")
        self.poll_now()


def _digest(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGEST_SHOWN]


def _why_not_deleted(image: Image) -> Detail:
    return Detail(
        f"Image {image.name} is in use",
        (
            Field("Used by", "\n".join(image.used_by), "warning"),
            Field("Remedy", "Delete these snapshots (4, then D) and wait for these VMs, or kill them (2, then K)."),
        ),
    )
