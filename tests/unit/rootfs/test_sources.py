from __future__ import annotations

import pytest

from engine.errors import InputError
from engine.languages.catalogue import Recipe
from engine.models import BuildLanguageRequest
from engine.rootfs import sources


def recipe(**more: object) -> Recipe:
    given = {"id": "x", "title": "X", "file": "x", "run": ("x",), "hello": "", "expect": "", **more}
    return Recipe.model_validate(given)


DEBIAN = {"debian": {"packages": ["jq"]}}
DOCKER = {"docker": {"image": "x:1"}}


@pytest.mark.parametrize(
    ("row", "known"),
    [
        (DEBIAN, ("debian",)),
        ({"pypi": ["deno"]}, ("debian",)),
        ({"npm": ["bun"]}, ("debian",)),
        (DOCKER, ("docker",)),
        (DEBIAN | DOCKER, ("debian", "docker")),
        ({}, ()),
    ],
)
def test_packages_go_before_docker(row: dict[str, object], known: tuple[str, ...]) -> None:
    assert sources.sources(recipe(**row)) == known


def test_a_source_that_the_language_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(InputError, match="no Docker image") as caught:
        sources.chosen(recipe(**DEBIAN), BuildLanguageRequest(language="x", source="docker"))
    assert "Debian packages" in caught.value.remedy


def test_a_language_without_any_source_is_refused() -> None:
    with pytest.raises(InputError, match="Debian packages"):
        sources.chosen(recipe(), BuildLanguageRequest(language="x"))


@pytest.mark.parametrize("more", [{"packages": ("jq",)}, {"pypi": ("x",)}, {"npm": ("x",)}, {"suite": "sid"}])
def test_packages_are_not_silently_left_out_of_a_docker_image(more: dict[str, object]) -> None:
    assert sources.chosen(recipe(**DOCKER), BuildLanguageRequest(language="x")) == "docker"
    with pytest.raises(InputError, match="takes no"):
        sources.chosen(recipe(**DOCKER), BuildLanguageRequest(language="x", **more))
