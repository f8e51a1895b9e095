"""Building a language's image, and removing what no one uses of older ones and of downloads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.models.packages import MOST_PACKAGES, DebianPackage, NpmPackage, Suite, Wheel
from engine.models.value import Name, Value

SourceName = Literal["debian", "docker"]


class LanguageBuild(Value):
    """How the image of a language is to be built. Packages come on top of those that the catalogue names for it."""

    source: Literal["auto", "debian", "docker"] = Field(
        default="auto", description="auto takes Debian's packages where the catalogue has them, else a Docker image"
    )
    name: Name | None = Field(default=None, description="of the image; the language's id otherwise")
    packages: tuple[DebianPackage, ...] = Field((), max_length=MOST_PACKAGES, description="further Debian packages")
    pypi: tuple[Wheel, ...] = Field((), max_length=MOST_PACKAGES, description="further wheels of PyPI")
    npm: tuple[NpmPackage, ...] = Field((), max_length=MOST_PACKAGES, description="further npm packages")
    suite: Suite | None = None
    size_mib: int | None = Field(default=None, ge=16, le=65536, description="a floor; content plus room otherwise")
    languages: tuple[str, ...] = Field(
        default=(),
        max_length=MOST_PACKAGES,
        description="further languages that it serves, of those that Debian packages alone make work: they come too",
    )


class BuildLanguageRequest(LanguageBuild):
    """An image for a language of the catalogue."""

    language: str = Field(description="id or alias")


class Leftover(Value):
    """Something that takes room and that nothing needs."""

    kind: Literal["image", "cache"]
    name: str
    why: str
    disk_bytes: int


class PruneRequest(Value):
    cache: Literal["bound", "clear"] = Field(
        default="bound", description="of downloaded packages: remove what was not used for long, or all"
    )
