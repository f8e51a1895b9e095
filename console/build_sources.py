"""What an image can be made from, as the form for a build offers it."""

from __future__ import annotations

from dataclasses import dataclass

AUTO, DEBIAN, DOCKER = "auto", "debian", "docker"
DOCKER_IMAGE, DOCKER_ARCHIVE = "docker image", "docker archive"
_OF_ALL = frozenset(("languages", "source", "name", "size_mib"))
_OF_PACKAGES = frozenset(("packages", "pypi", "npm", "suite"))


@dataclass(frozen=True, slots=True)
class BuildSource:
    """``fields`` are those of the form that it is about."""

    name: str
    about: str
    fields: frozenset[str]


SOURCES = {
    source.name: source
    for source in (
        BuildSource(AUTO, "Debian packages where it has some, else Docker", _OF_ALL | _OF_PACKAGES),
        BuildSource(DEBIAN, "Debian packages, with wheels and npm packages on top", _OF_ALL | _OF_PACKAGES),
        BuildSource(DOCKER, "by Docker, from what the catalogue names for it", _OF_ALL),
        BuildSource(DOCKER_IMAGE, "any image of a Docker engine, by its name", _OF_ALL | {"image", "docker_host"}),
        BuildSource(DOCKER_ARCHIVE, "what docker save or export wrote, or an OCI layout", _OF_ALL | {"tar", "image"}),
    )
}
