"""Every language of the catalogue: how it stands here, what it needs and costs, whether it is proven, its example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from console.actions import CATALOGUE, bindings
from console.language_facts import DOCKER_ONLY, MEANINGS, STATES, cost_words, state_of, version_number
from console.quantities import UNKNOWN, ago, count, moment, short_age, size
from console.screens.confirm import ConfirmDialog
from console.screens.image_form import ImageForm
from console.screens.list_screen import ListScreen
from console.screens.mode_screen import JOB_GOES_ON
from console.screens.snapshot_form import SnapshotForm
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Column, Row
from engine.api import EngineApi
from engine.models import BuildLanguageRequest, Job, Language, RunRequest


class CatalogueScreen(ListScreen[Language]):
    """Lies over the images; ``leave`` goes back to them."""

    MODE = "images"
    PLACE = CATALOGUE
    BINDINGS: ClassVar = bindings(CATALOGUE)
    CSS_PATH = "../styles/stock.tcss"
    HEADING = "Catalogue"
    COLUMNS = (
        Column("LANGUAGE", 16, most=24),
        Column("STATE", 14),
        Column("CATEGORY", 10, priority=8),
        Column("VERSION", 10, priority=7, most=32),
        Column("PROVEN", 6, right=True, priority=6),
        Column("SIZE", 8, right=True, priority=5),
        Column("BUILD", 6, right=True, priority=5),
        Column("SOURCE", 14, priority=4, most=24),
        Column("IMAGE", 14, priority=3, most=40),
        Column("TIME", 5, right=True, priority=2),
        Column("MEMORY", 8, right=True, priority=2),
        Column("PACKAGES", 0, priority=1),
    )
    EMPTY = ("The catalogue is empty.",)
    NEEDS_ROW = frozenset(("detail", "open_example", "build", "build_with", "create"))

    async def fetch(self, api: EngineApi) -> Sequence[Language]:
        return await api.languages()

    def key_of(self, item: Language) -> str:
        return item.id

    def row_of(self, item: Language) -> Row:
        measured = item.measured
        build_s = None if measured is None else measured.build_s
        return Row(
            item.id,
            (
                Cell(item.title),
                STATES[state_of(item)].cell,
                Cell(item.category, "muted"),
                Cell(version_number(item.version)),
                Cell(self._proven(item), "muted"),
                Cell(size(None if measured is None else measured.image_bytes), "muted"),
                Cell(UNKNOWN if build_s is None else short_age(build_s), "muted", build_s),
                Cell(item.source or ", ".join(item.sources) or UNKNOWN, "muted"),
                Cell(item.image or UNKNOWN),
                Cell(f"{item.timeout_s:g} s", "muted"),
                Cell(f"{item.memory_mib} MiB", "muted"),
                Cell(" ".join((*item.packages, *item.pypi, *item.npm)), "muted"),
            ),
        )

    def _proven(self, item: Language) -> str:
        return short_age((self.app.now() - item.proven.date).total_seconds()) if item.proven else UNKNOWN

    def note_of(self, items: Sequence[Language]) -> str:
        if not items:
            return ""
        ready = sum(language.ready for language in items)
        warm = sum(language.warm for language in items)
        docker = sum(state_of(language) == DOCKER_ONLY for language in items)
        only = f", {docker} docker only" if docker else ""
        return f"{count(len(items), 'language')}, {ready} can run, {warm} warm{only}"

    def detail_of(self, item: Language) -> Detail:
        state = state_of(item)
        return Detail(
            item.title,
            (
                Field("Language", item.title),
                Field("State", f"{STATES[state].text}: {MEANINGS[state]}", STATES[state].role),
                Field("Version", item.version or ""),
                Field("Proven here", self._proof(item)),
                Field("Measured", _measured(item)),
                Field("Category", item.category),
                Field("Names", ", ".join((item.id, *item.aliases))),
                Field("Image", item.image or "none"),
                Field("Source", item.source if item.ready else ", ".join(item.sources)),
                Field("Packages", " ".join(item.packages)),
                Field("Wheels", " ".join(item.pypi)),
                Field("npm packages", " ".join(item.npm)),
                Field("Docker image", item.docker_image or ""),
                Field("Suite", item.suite or ""),
                Field("Limits", f"{item.timeout_s:g} s, {item.memory_mib} MiB, {count(item.vcpus, 'vCPU')}"),
                Field("File", item.file_name),
                Field("Example", item.example.rstrip("\n")),
            ),
        )

    def _proof(self, item: Language) -> str:
        if item.proven is None:
            return "no: no code ran in an image of it"
        since = ago((self.app.now() - item.proven.date).total_seconds())
        return f"{moment(item.proven.date)}, {since}, by {item.proven.vmm}"

    # --- from here to elsewhere

    def action_leave(self) -> None:
        self.dismiss()

    def action_open_example(self) -> None:
        if (language := self.current) is not None:
            self.app.open_in_scratchpad(RunRequest(language=language.id, code=language.example))

    def action_build(self) -> None:
        """At once where there is none yet; an image that is here is built anew after a question."""
        if (language := self.current) is None:
            return
        if not language.ready:
            self._build(language)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._build(language)

        text = (
            f"{language.title} runs in the image {language.image} now. Its snapshots have to be refreshed afterwards."
        )
        self.app.push_screen(ConfirmDialog(f"Build {language.title} anew?", text, yes="Build"), answered)

    def _build(self, language: Language) -> None:
        async def begun() -> Job:
            api = await self.app.connection.opened()
            return await api.build_language(BuildLanguageRequest(language=language.id))

        self.ask_here(begun(), self.app.show_job, "build", late=JOB_GOES_ON)

    def action_build_with(self) -> None:
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
        language = self.current if self.is_mounted else None
        if allowed and language is not None and action in _POSSIBLE:
            return _POSSIBLE[action](language) or None
        return allowed


_POSSIBLE: dict[str, Callable[[Language], bool]] = {
    "create": lambda language: language.ready,
    "build": lambda language: bool(language.sources),
}
"""When an action on the language under the cursor makes sense."""


def _measured(language: Language) -> str:
    """By vmdeck's own proof, not here."""
    if language.measured is None:
        return ""
    return f"{cost_words(language)}: {language.measured.vmm}, {moment(language.measured.date)}"
