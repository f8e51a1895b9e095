"""Building an image in the console: each source asks for what it needs, and makes the request that is meant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from console.language_facts import version_number
from console.screens.image_form import ImageForm
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import FakeEngine
from tests.console.stock_samples import FORTH, PYTHON, stocked


@asynccontextmanager
async def form_of(engine: FakeEngine) -> AsyncIterator[tuple[Driven, ImageForm]]:
    """The form for a build, once it has asked what it needs."""
    async with driving(console(engine), (100, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("b")
        await driven.until(lambda: isinstance(driven.app.screen, ImageForm))
        form = driven.app.screen
        assert isinstance(form, ImageForm)
        await driven.until(lambda: not form.workers._workers)
        yield driven, form


async def pick(driven: Driven, form: ImageForm, field: str, words: str) -> None:
    form.field(field).entry.focus()
    await driven.press("enter")
    await driven.until(lambda: driven.app.screen is not form)
    await driven.press(*("space" if char == " " else char for char in words), "enter")
    await driven.until(lambda: form.is_current)


async def fill(driven: Driven, form: ImageForm, field: str, text: str) -> None:
    form.field(field).entry.focus()
    await driven.press(*text)


def shown(form: ImageForm) -> list[str]:
    return [spec.key for spec in form.fields if form.field(spec.key).display]


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("auto", ["languages", "source", "packages", "name", "suite", "size_mib"]),
        ("debian", ["languages", "source", "packages", "name", "suite", "size_mib"]),
        ("docker", ["languages", "source", "name", "size_mib"]),
        ("docker image", ["languages", "source", "image", "docker_host", "name", "size_mib"]),
        ("docker archive", ["languages", "source", "image", "tar", "name", "size_mib"]),
    ],
)
async def test_only_the_fields_of_the_source_are_asked_for(source: str, fields: list[str]) -> None:
    async with form_of(stocked()) as (driven, form):
        form.choose("source", source)
        await driven.pilot.pause()
        assert shown(form) == fields


async def test_a_language_takes_wheels_and_npm_packages_too() -> None:
    engine = stocked()
    async with form_of(engine) as (driven, form):
        await pick(driven, form, "languages", "forth")
        await fill(driven, form, "pypi", "numpy==2.1")
        await fill(driven, form, "npm", "lodash@4")
        await fill(driven, form, "size_mib", "512")
        await driven.press("enter")
        await driven.until(lambda: driven.app.current_mode == "jobs")
    built = engine.built_languages[0]
    assert (built.language, built.pypi, built.npm, built.size_mib) == ("forth", ("numpy==2.1",), ("lodash@4",), 512)


async def test_a_language_that_only_docker_has_asks_for_no_packages_and_names_the_image() -> None:
    engine = stocked()
    async with form_of(engine) as (driven, form):
        await pick(driven, form, "languages", "mongo")
        await driven.sees("the image mongo:8 of a Docker engine")
        assert "packages" not in shown(form)
        await driven.press("tab", "tab", "enter")
        await driven.until(lambda: driven.app.current_mode == "jobs")
    assert [(built.language, built.source) for built in engine.built_languages] == [("mongodb", "auto")]


async def test_a_language_is_offered_by_its_sources_and_found_by_its_aliases() -> None:
    async with form_of(stocked()) as (driven, form):
        form.choose("source", "debian")
        form.field("languages").entry.focus()
        await driven.press("enter")
        await driven.until(lambda: driven.app.screen is not form)
        assert driven.table.keys == ["python", "bash", "forth"]
        await driven.press(*PYTHON.aliases[0])
        await driven.until(lambda: driven.table.keys == ["python"])


async def test_what_a_language_costs_is_told_below_it() -> None:
    async with form_of(stocked()) as (driven, form):
        await pick(driven, form, "languages", "python")
        await driven.sees("59 MiB on disk, built in 42 s")


async def test_an_image_of_docker_is_named_after_itself_and_refused_in_place() -> None:
    engine = stocked()
    async with form_of(engine) as (driven, form):
        await pick(driven, form, "source", "docker image")
        await fill(driven, form, "image", "ghcr.io/team/Tool")
        await driven.until(lambda: "is no name of a Docker image" in form.field("image").error)
        await driven.press(*["backspace"] * 4, *"tool:1.2")
        await driven.until(lambda: not form.field("image").error)
        assert form.field("name").value == "tool"
        await fill(driven, form, "docker_host", "rm -rf".replace(" ", "-"))
        await driven.until(lambda: "is no address" in form.field("docker_host").error)
        await driven.press("enter")
        assert form.is_current
        form.field("docker_host").value = ""
        await driven.press("enter")
        await driven.until(lambda: driven.app.current_mode == "jobs")
    made = engine.built_docker[0]
    assert (made.name, made.image, made.tar, made.docker_host) == ("tool", "ghcr.io/team/tool:1.2", None, None)


async def test_an_archive_is_named_by_its_path_on_the_engines_host() -> None:
    engine = stocked()
    async with form_of(engine) as (driven, form):
        await pick(driven, form, "source", "docker archive")
        form.field("name").entry.focus()
        await driven.press("enter")
        assert (form.field("tar").error, form.field("name").error) == ("is needed", "is needed")
        await fill(driven, form, "tar", "saved.tar")
        await driven.until(lambda: "a path starts with /" in form.field("tar").error)
        form.field("tar").entry.value = "/srv/saved.tar"
        await fill(driven, form, "name", "saved")
        await driven.press("enter")
        await driven.until(lambda: driven.app.current_mode == "jobs")
    made = engine.built_docker[0]
    assert (made.name, made.tar, made.image) == ("saved", "/srv/saved.tar", None)


async def test_packages_alone_make_an_image_without_a_language() -> None:
    engine = stocked()
    async with form_of(engine) as (driven, form):
        await fill(driven, form, "packages", "gcc")
        await fill(driven, form, "name", "tools")
        await driven.press("enter")
        await driven.until(lambda: driven.app.current_mode == "jobs")
    built = engine.built[0]
    assert (built.name, built.packages, built.languages) == ("tools", ("gcc",), ())


async def opened_picker(driven: Driven, form: ImageForm) -> list[str]:
    """Ask for languages; those that can be picked."""
    form.field("languages").entry.focus()
    await driven.press("enter")
    await driven.until(lambda: driven.app.screen is not form)
    keys = driven.table.keys
    await driven.press("escape")
    await driven.until(lambda: form.is_current)
    return keys


async def test_only_languages_of_debian_packages_alone_are_offered_besides_the_first() -> None:
    engine = stocked()
    others = {"npm": ("typescript",), "pypi": ("numpy",), "suite": "trixie"}
    engine.language_list = (
        *engine.language_list,
        *(FORTH.model_copy(update={"id": f"with-{key}", key: value}) for key, value in others.items()),
    )
    async with form_of(engine) as (driven, form):
        assert {"with-npm", "with-pypi", "with-suite", "mongodb"} <= set(await opened_picker(driven, form))
        form.choose("languages", "with-npm")
        assert await opened_picker(driven, form) == ["python", "bash", "forth", "with-npm"]
        form.choose("languages", "mongodb")
        assert await opened_picker(driven, form) == ["mongodb"]
        form.choose("source", "docker image")
        assert "with-npm" in await opened_picker(driven, form)


@pytest.mark.parametrize(
    ("source", "languages", "said"),
    [
        ("auto", "python mongodb", "MongoDB can only be the first: it takes more than Debian packages"),
        ("docker", "python mongodb", "Docker makes an image of one language: take MongoDB away"),
        ("auto", "mongodb python", "Docker makes an image of one language: take Python away"),
    ],
)
async def test_a_further_language_that_the_image_would_not_contain_is_refused_with_the_reason(
    source: str, languages: str, said: str
) -> None:
    engine = stocked()
    async with form_of(engine) as (driven, form):
        form.choose("source", source)
        form.choose("languages", languages)
        form.field("name").entry.focus()
        await driven.press("enter")
        assert form.field("languages").error == said
        assert form.is_current
    assert engine.built_languages == []


async def adding_form(driven: Driven) -> ImageForm:
    """Open the form that adds to what is under the cursor, with all that it asks the engine for."""
    await driven.press("a")
    await driven.until(lambda: isinstance(driven.app.screen, ImageForm))
    form = driven.app.screen
    assert isinstance(form, ImageForm)
    await driven.until(lambda: not form.workers._workers)
    return form


async def test_the_name_follows_the_language_also_where_the_catalogue_named_the_first() -> None:
    async with driving(console(stocked()), (100, 36)) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("✓ warm")
        form = await adding_form(driven)
        form.choose("languages", "forth")
        assert form.field("name").value == "forth"
        await fill(driven, form, "name", "x")
        form.choose("languages", "bash")
        assert form.field("name").value == "x"


async def test_more_packages_go_into_the_image_of_the_same_name_whatever_the_languages() -> None:
    async with driving(console(stocked()), (100, 36)) as driven:
        await driven.mode("3", "node22")
        form = await adding_form(driven)
        form.choose("languages", "forth")
        assert form.field("name").value == "python"


async def test_a_list_that_is_opened_before_the_engine_answers_says_so_and_fills() -> None:
    engine = stocked()
    async with driving(console(engine), (100, 36)) as driven:
        await driven.mode("3", "node22")
        engine.stalled = True
        await driven.press("b")
        await driven.until(lambda: isinstance(driven.app.screen, ImageForm))
        form = driven.app.screen
        await driven.press("enter")
        await driven.until(lambda: driven.app.screen is not form)
        await driven.sees("asking the engine")
        await driven.press(*"forth")
        engine.stalled = False
        engine.stall.set()
        await driven.until(lambda: driven.table.keys == ["forth"])
        await driven.press("enter")
        await driven.until(lambda: driven.app.screen is form)
        assert isinstance(form, ImageForm)
        assert form.field("languages").value == "forth"


async def test_an_image_of_docker_takes_no_packages() -> None:
    async with driving(console(stocked())) as driven:
        await driven.mode("3", "node22")
        screen = driven.app.screen
        assert screen.check_action("add_packages", ()) is True
        driven.table.move_cursor("node22")
        assert screen.check_action("add_packages", ()) is None


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio", "5.4.4"),
        ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        ('"2.91"', "2.91"),
        ("V8", "V8"),
        (None, "-"),
    ],
)
def test_a_list_tells_the_number_of_a_version(said: str | None, number: str) -> None:
    assert version_number(said) == number
