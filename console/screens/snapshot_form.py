"""What a snapshot is made of: a language that has an image, and the size of its microVM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from console.field_spec import FieldSpec
from console.screens.form import FormDialog
from console.screens.image_form import NAME_WORDS
from console.screens.picker import Choice
from engine.models import CreateSnapshotRequest, Job, Language


class SnapshotForm(FormDialog[CreateSnapshotRequest, Job]):
    """Answers the job that makes it. ``language`` is an id to begin with."""

    fields = (
        FieldSpec("language", "Language", "choose one that has an image", kind="choice"),
        FieldSpec("memory_mib", "Memory MiB"),
        FieldSpec("vcpus", "vCPUs"),
        FieldSpec("name", "Name"),
    )
    REQUEST = CreateSnapshotRequest
    YES = "Make"
    PATTERNS: ClassVar[Mapping[str, str]] = {"name": NAME_WORDS}
    heading = "New snapshot"

    def __init__(self, language: str | None = None) -> None:
        super().__init__({"language": language} if language else None)
        self._languages: dict[str, Language] = {}
        self._names: frozenset[str] = frozenset()

    async def prepare(self) -> None:
        """The first language that could run but has no snapshot that fits is the one to begin with."""
        api = await self.app.connection.opened()
        self._languages = {language.id: language for language in await api.languages() if language.ready}
        self._names = frozenset(snapshot.name for snapshot in await api.snapshots())
        if not self.field("language").value:
            cold = [each.id for each in self._languages.values() if not each.warm]
            self.field("language").value = next(iter((*cold, *self._languages)), "")
        if not self._languages:
            self.field("language").say("no language has an image yet: build one first (3, then c)")
        self._follow()

    def faults(self, values: Mapping[str, str]) -> dict[str, str]:
        if values.get("name") in self._names:
            return {"name": "is here already: choose another, or renew that one"}
        if values.get("language", "") not in self._languages:
            return {"language": "has no image here, or is not known"}
        return {}

    async def send(self, request: CreateSnapshotRequest) -> Job:
        return await (await self.app.connection.opened()).create_snapshot(request)

    # --- fields that follow others

    def wanted(self, key: str) -> None:
        def answered(picked: str | None) -> None:
            if picked is not None:
                self.choose("language", picked)

        self.pick("Language", self._choices, answered, at=self.field("language").value)

    def _choices(self) -> list[Choice]:
        return [
            Choice(each.id, each.title, f"image {each.image}", "✓ warm" if each.warm else "")
            for each in self._languages.values()
        ]

    def changed(self, key: str) -> None:
        self._follow()

    def _follow(self) -> None:
        """Fields that the operator did not fill take the language's defaults, and the name what it is of."""
        language = self._languages.get(self.field("language").value)
        if language is None:
            return
        for key, default in (("memory_mib", language.memory_mib), ("vcpus", language.vcpus)):
            if not self.touched(key):
                self.field(key).value = str(default)
        if not self.touched("name"):
            self.field("name").value = self._free_name(language)

    def _free_name(self, language: Language) -> str:
        """As the engine names one of this size, with a number where that is taken."""
        values = self.values
        wished = f"{language.id}-{values['memory_mib']}m-{values['vcpus']}c"
        tried, number = wished, 1
        while tried in self._names:
            number += 1
            tried = f"{wished}-{number}"
        return tried
