"""Where the image of a language can come from, and who builds it then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from engine.errors import InputError
from engine.languages.catalogue import Recipe
from engine.models import BuildLanguageRequest, Image, SourceName
from engine.rootfs.debian import build_language
from engine.rootfs.docker.build import build_from_docker
from engine.rootfs.progress import Progress
from engine.rootfs.store import ImageStore
from engine.rootfs.version_line import AskVersion
from engine.settings import Settings

Builder = Callable[[Settings, ImageStore, Recipe, BuildLanguageRequest, Progress, AskVersion], Awaitable[Image]]

BUILDERS: Mapping[SourceName, Builder] = {"debian": build_language, "docker": build_from_docker}
_TITLES: Mapping[SourceName, str] = {"debian": "Debian packages", "docker": "a Docker image"}


def sources(recipe: Recipe) -> tuple[SourceName, ...]:
    """What the catalogue knows for a language, the preferred first."""
    packages: tuple[SourceName, ...] = ("debian",) if recipe.debian or recipe.pypi or recipe.npm else ()
    return (*packages, *(("docker",) if recipe.docker else ()))


def is_packages_only(recipe: Recipe) -> bool:
    """Whether a language works in any image that has its Debian packages."""
    return recipe.debian is not None and not (recipe.pypi or recipe.npm or recipe.prepare or recipe.debian.suite)


def chosen(recipe: Recipe, request: BuildLanguageRequest) -> SourceName:
    """The source of an image. Raises InputError where the language has none such."""
    known = sources(recipe)
    preferred: SourceName = known[0] if known else "debian"
    source = preferred if request.source == "auto" else request.source
    if source not in known:
        raise InputError(
            f"The catalogue knows no {_TITLES[source].removeprefix('a ')} for {recipe.title}",
            remedy="It has: " + (", ".join(_TITLES[each] for each in known) or "no source at all"),
        )
    if source == "docker" and (refused := _for_packages(request)):
        raise InputError(
            f"A Docker image takes no {refused}",
            remedy="Leave them out, or build from Debian packages: --source debian",
        )
    return source


def _for_packages(request: BuildLanguageRequest) -> str:
    asked = {
        "Debian packages": request.packages,
        "wheels": request.pypi,
        "npm packages": request.npm,
        "further languages": request.languages,
    }
    return next((what for what, names in asked.items() if names), "suite" if request.suite else "")
