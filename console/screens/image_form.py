"""What an image is built from: languages whose packages the catalogue knows, and any further packages of Debian."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from console.field_spec import FieldSpec
from console.quantities import count
from console.screens.form import FormDialog, Problem
from console.screens.picker import Choice, PickerDialog
from engine.models import BuildImageRequest, Image, Job, Language

NAME_WORDS = "a-z 0-9 . _ + - only, at most 63, letter or digit first"
_PACKAGE_WORDS = "{} is no package name, as python3 or bash=5.2-1"


class ImageForm(FormDialog[BuildImageRequest, Job]):
    """Answers the job of the build. ``Language`` gives a form for it, ``Image`` one to add packages to it."""

    fields = (
        FieldSpec("languages", "Languages", "none: only the packages below", kind="choice"),
        FieldSpec("packages", "Packages", "names of Debian packages"),
        FieldSpec("extra", "More packages", "further ones, if any"),
        FieldSpec("name", "Name", "of the new image"),
        FieldSpec("suite", "Suite", "that of the host or of the settings"),
        FieldSpec("size_mib", "Least size MiB", "what it holds, and some room"),
    )
    REQUEST = BuildImageRequest
    YES = "Build"
    PATTERNS: ClassVar[Mapping[str, str]] = {
        "name": NAME_WORDS,
        "packages": _PACKAGE_WORDS,
        "extra": _PACKAGE_WORDS,
        "suite": "{} is no name of a suite, as bookworm",
    }
    heading = "Build an image"

    def __init__(self, about: Language | Image | None = None) -> None:
        super().__init__(_first_values(about), first="extra" if isinstance(about, Image) else None)
        self._languages: dict[str, Language] = {}
        self._images: dict[str, Image] = {}
        if isinstance(about, Image):
            self.heading = f"Build {about.name} with more packages"

    async def prepare(self) -> None:
        api = await self.app.connection.opened()
        self._languages = {language.id: language for language in await api.languages()}
        self._images = {image.name: image for image in await api.images()}
        self._say_what_name_means()

    def request_values(self, values: Mapping[str, str]) -> dict[str, Any]:
        plain = {key: values[key] for key in ("name", "suite", "size_mib") if key in values}
        packages = dict.fromkeys((*_words(values.get("packages", "")), *_words(values.get("extra", ""))))
        return {**plain, "packages": tuple(packages), "languages": tuple(_words(values.get("languages", "")))}

    def faults(self, values: Mapping[str, str]) -> dict[str, str]:
        if "packages" not in values and "extra" not in values:
            return {"packages": "name one at least"}
        return {}

    def blamed(self, problem: Problem) -> str:
        key = super().blamed(problem)
        return "extra" if key == "packages" and problem.text in _words(self.values["extra"]) else key

    async def send(self, request: BuildImageRequest) -> Job:
        return await (await self.app.connection.opened()).build_image(request)

    # --- fields that follow others

    def wanted(self, key: str) -> None:
        chosen = _words(self.field("languages").value)
        choices = [
            Choice(each.id, each.title, " ".join(each.packages), "✓ chosen" if each.id in chosen else "")
            for each in self._languages.values()
            if each.packages or each.id in chosen
        ]

        def answered(picked: str | None) -> None:
            if picked is not None:
                kept = [each for each in chosen if each != picked]
                self.choose("languages", " ".join(kept if picked in chosen else [*chosen, picked]))

        self.app.push_screen(PickerDialog("Language: add or take away", choices), answered)

    def changed(self, key: str) -> None:
        if key == "languages":
            self._follow_languages()
        self._say_what_name_means()

    def _follow_languages(self) -> None:
        """Fields that the operator did not fill take what the chosen languages need."""
        chosen = [self._languages[each] for each in _words(self.field("languages").value) if each in self._languages]
        suites = [language.suite for language in chosen if language.suite]
        needed = dict.fromkeys(package for language in chosen for package in language.packages)
        for key, text in (
            ("packages", " ".join(needed)),
            ("name", chosen[0].id if chosen else ""),
            ("suite", suites[0] if suites else ""),
        ):
            if not self.touched(key):
                self.field(key).value = text

    def _say_what_name_means(self) -> None:
        older = self._images.get(self.values["name"])
        self.field("name").say("" if older is None else _what_replacing_means(older))


def _first_values(about: Language | Image | None) -> dict[str, str]:
    if about is None:
        return {}
    languages: Sequence[str] = (about.id,) if isinstance(about, Language) else about.languages
    return {
        "languages": " ".join(languages),
        "packages": " ".join(about.packages),
        "name": about.id if isinstance(about, Language) else about.name,
        "suite": about.suite or "",
    }


def _what_replacing_means(older: Image) -> str:
    snapshots = sum(user.startswith("snapshot ") for user in older.used_by)
    then = f"; then renew its {count(snapshots, 'snapshot')}" if snapshots else ""
    return f"replaces that image{then}"


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", text) if word]
