"""What an image is built from: a language of the catalogue and its source, further packages, or an image of Docker's.

The fields are those of the source that is chosen. Without a language an image is made of Debian packages alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from console.build_sources import AUTO, DEBIAN, DOCKER, DOCKER_ARCHIVE, DOCKER_IMAGE, SOURCES
from console.field_spec import FieldSpec
from console.language_facts import STATES, cost_words, is_packages_only, state_of
from console.quantities import count
from console.screens.form import FormDialog, Problem
from console.screens.picker import Choice, PickerDialog
from engine.models import BuildImageRequest, BuildLanguageRequest, DockerImageRequest, Image, Job, Language, Value

BuildRequest = BuildImageRequest | BuildLanguageRequest | DockerImageRequest
NAME_WORDS = "a-z 0-9 . _ + - only, at most 63, letter or digit first"
_KEPT = ("packages", "pypi", "npm")
_BESIDES = "besides "


class ImageForm(FormDialog[BuildRequest, Job]):
    """Answers the job of the build. ``Language`` gives a form for it, ``Image`` one to add packages to it."""

    fields = (
        FieldSpec("languages", "Languages", "none: only the packages below", kind="choice"),
        FieldSpec("source", "Source", kind="choice"),
        FieldSpec("image", "Docker image", "golang:1.25, or registry/name@sha256:..."),
        FieldSpec("tar", "Archive", "/path on the engine's host"),
        FieldSpec("docker_host", "Docker engine", "the one of DOCKER_HOST or of Docker's context"),
        FieldSpec("packages", "More packages", "names of Debian packages"),
        FieldSpec("pypi", "More wheels", "of PyPI, as numpy==2.1"),
        FieldSpec("npm", "More npm", "packages of npm, as lodash@4"),
        FieldSpec("name", "Name", "of the new image"),
        FieldSpec("suite", "Suite", "that of the language, or of the host"),
        FieldSpec("size_mib", "Least size MiB", "what it holds, and some room"),
    )
    REQUEST = BuildLanguageRequest
    YES = "Build"
    PATTERNS: ClassVar[Mapping[str, str]] = {
        "name": NAME_WORDS,
        "image": "{} is no name of a Docker image",
        "tar": "a path starts with /, as on the engine's host",
        "docker_host": "{} is no address, as unix:///var/run/docker.sock",
    }
    heading = "Build an image"

    def __init__(self, about: Language | Image | None = None) -> None:
        super().__init__(_first_values(about), first="packages" if isinstance(about, Image) else None)
        self._languages: dict[str, Language] = {}
        self._images: dict[str, Image] = {}
        self._kept: dict[str, tuple[str, ...]] = {}
        self._renews = isinstance(about, Image)
        if isinstance(about, Image):
            self.heading = f"Build {about.name} with more packages"
            self._kept = {"packages": about.packages, "pypi": about.pypi, "npm": about.npm}

    async def prepare(self) -> None:
        api = await self.app.connection.opened()
        self._languages = {language.id: language for language in await api.languages()}
        self._images = {image.name: image for image in await api.images()}
        self._say()

    # --- what the fields make

    @property
    def _source(self) -> str:
        return self.field("source").value

    @property
    def _chosen(self) -> list[str]:
        return _words(self.field("languages").value)

    @property
    def _by_docker(self) -> bool:
        """Whether nothing of Debian's goes into it: as chosen, or since the catalogue has nothing else."""
        if self._source != AUTO:
            return self._source != DEBIAN
        first = self._languages.get(next(iter(self._chosen), ""))
        return first is not None and first.sources[:1] == ("docker",)

    def shows(self, key: str) -> bool:
        if key in ("packages", "suite"):
            return not self._by_docker
        if key in ("pypi", "npm"):
            return not self._by_docker and bool(self._chosen)
        return key in SOURCES[self._source].fields

    def request_type(self) -> type[Value]:
        if self._source in (DOCKER_IMAGE, DOCKER_ARCHIVE):
            return DockerImageRequest
        return BuildLanguageRequest if self._chosen else BuildImageRequest

    def request_values(self, values: Mapping[str, str]) -> dict[str, Any]:
        request: dict[str, Any] = {
            key: values[key] for key in ("name", "suite", "size_mib", "image", "tar", "docker_host") if key in values
        }
        for key in _KEPT:
            if self.shows(key):
                request[key] = tuple(dict.fromkeys((*self._kept.get(key, ()), *_words(values.get(key, "")))))
        chosen = self._chosen
        if self.request_type() is BuildLanguageRequest:
            return {**request, "source": self._source, "language": chosen[0], "languages": tuple(chosen[1:])}
        return {**request, "languages": tuple(chosen)}

    def faults(self, values: Mapping[str, str]) -> dict[str, str]:
        needed = {DOCKER: ("languages",), DOCKER_IMAGE: ("image", "name"), DOCKER_ARCHIVE: ("tar", "name")}
        wanted = needed.get(self._source, () if self._chosen else ("packages", "name"))
        missing = {key: "is needed" for key in wanted if key not in values and not self._kept.get(key)}
        further = [self._languages[each] for each in self._chosen[1:] if each in self._languages]
        refused = next((why for each in further if (why := self._why_not_further(each))), "")
        return {"languages": refused, **missing} if refused else missing

    def _why_not_further(self, language: Language) -> str:
        """Why the image would not contain it besides the first; empty where it does, or where Docker's may."""
        if self._source in (DOCKER_IMAGE, DOCKER_ARCHIVE):
            return ""
        if self._by_docker:
            return f"Docker makes an image of one language: take {language.title} away"
        takes_more = f"{language.title} can only be the first: it takes more than Debian packages"
        return "" if is_packages_only(language) else takes_more

    def blamed(self, problem: Problem) -> str:
        key = super().blamed(problem)
        if not problem.key:
            return "tar" if self._source == DOCKER_ARCHIVE else "image"
        return "languages" if key == "language" else key

    async def send(self, request: BuildRequest) -> Job:
        api = await self.app.connection.opened()
        match request:
            case BuildLanguageRequest():
                return await api.build_language(request)
            case BuildImageRequest():
                return await api.build_image(request)
            case DockerImageRequest():
                return await api.build_docker_image(request)

    # --- fields that follow others

    def wanted(self, key: str) -> None:
        if key == "source":
            self._pick_source()
        else:
            self._pick_language()

    def _pick_source(self) -> None:
        choices = [Choice(source.name, source.name, source.about) for source in SOURCES.values()]

        def answered(picked: str | None) -> None:
            if picked is not None:
                self.choose("source", picked)

        self.app.push_screen(PickerDialog("Source", choices, at=self._source), answered)

    def _pick_language(self) -> None:
        chosen = self._chosen

        def answered(picked: str | None) -> None:
            if picked is not None:
                kept = [each for each in chosen if each != picked]
                self.choose("languages", " ".join(kept if picked in chosen else [*chosen, picked]))

        self.pick(self._language_heading(), self._language_choices, answered)

    def _language_heading(self) -> str:
        """With which can be added, so that nobody looks for others."""
        if not self._chosen or self._source in (DOCKER_IMAGE, DOCKER_ARCHIVE):
            return "Language: add or take away"
        if self._by_docker:
            return "Language: take away (Docker makes an image of one)"
        return "Language: add one of Debian packages alone, or take away"

    def _language_choices(self) -> list[Choice]:
        chosen = self._chosen
        return [
            Choice(
                each.id,
                each.title,
                " ".join((each.category, each.id, *each.aliases)),
                "✓ chosen" if each.id in chosen else STATES[state_of(each)].text,
            )
            for each in self._languages.values()
            if each.id in chosen or (self._can_be_made(each) and not (chosen and self._why_not_further(each)))
        ]

    def _can_be_made(self, language: Language) -> bool:
        """Of the source that is chosen; any can be in an image that Docker made."""
        if self._source in (DEBIAN, DOCKER):
            return self._source in language.sources
        return bool(language.sources) or self._source != AUTO

    def changed(self, key: str) -> None:
        if key in ("languages", "image") and not (self._renews or self.touched("name")):
            self.field("name").value = next(iter(self._chosen), "") or _name_in(self.field("image").value)
        self._say()

    def _say(self) -> None:
        """What the fields mean, below them."""
        older = self._images.get(self.values["name"])
        self.field("name").say("" if older is None else _what_replacing_means(older))
        first = self._languages.get(next(iter(self._chosen), ""))
        self.field("languages").say("" if first is None else cost_words(first))
        about = SOURCES[self._source].about
        if first is not None and self._by_docker and self._source in (AUTO, DOCKER):
            about = f"the image {first.docker_image or 'none'} of a Docker engine"
        self.field("source").say(about)
        for key in _KEPT:
            kept = self._kept.get(key, ())
            self.field(key).say(_BESIDES + " ".join(kept) if kept else "")


def _first_values(about: Language | Image | None) -> dict[str, str]:
    if about is None:
        return {"source": AUTO}
    if isinstance(about, Language):
        return {"source": AUTO, "languages": about.id, "name": about.id}
    return {
        "source": DEBIAN,
        "languages": " ".join(about.languages),
        "name": about.name,
        "suite": about.suite or "",
    }


def _what_replacing_means(older: Image) -> str:
    snapshots = sum(user.startswith("snapshot ") for user in older.used_by)
    then = f"; then renew its {count(snapshots, 'snapshot')}" if snapshots else ""
    return f"replaces that image{then}"


def _name_in(reference: str) -> str:
    """``golang`` of ``docker.io/library/golang:1.25``."""
    return re.split(r"[:@]", reference.rsplit("/", 1)[-1])[0]


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", text) if word]
