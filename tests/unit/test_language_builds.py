"""Building languages through the engine's stock, with a stand-in for the builder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine import inventory as inventory_module
from engine import stock as stock_module
from engine.backend import Backend
from engine.errors import InputError, NotFoundError, NotReadyError
from engine.inventory import Inventory
from engine.jobs import JobBoard
from engine.languages.catalogue import Catalogue, Recipe
from engine.languages.proofs import LanguageProof, row_digest
from engine.models import BuildLanguageRequest, Image, JobState, Measured, PruneRequest
from engine.rootfs import sources
from engine.rootfs.progress import Progress
from engine.rootfs.store import ImageOrigin, ImageStore
from engine.rootfs.version_line import AskVersion
from engine.settings import Settings
from engine.stock import Stock

ROW = {"title": "T", "file": "f", "run": ("x",), "hello": "", "expect": ""}
LUA = {"aliases": ("l5",), "debian": {"packages": ["lua5.4"]}, "version": ("lua5.4", "-v")}
ROWS = {
    "lua": LUA,
    "bash": {"debian": {"packages": ["bash"]}},
    "deno": {"pypi": ["deno"]},
    "mongodb": {"docker": {"image": "mongo:7"}},
}


class Builder:
    """Makes an image of what it was asked for, once it may."""

    def __init__(self) -> None:
        self.asked: list[BuildLanguageRequest] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def __call__(
        self,
        settings: Settings,
        store: ImageStore,
        recipe: Recipe,
        request: BuildLanguageRequest,
        progress: Progress,
        ask_version: AskVersion,
    ) -> Image:
        self.asked.append(request)
        await self.may_go_on.wait()

        async def build(rootfs: Path) -> ImageOrigin:
            rootfs.write_bytes(f"{len(self.asked)}".encode())
            languages = (recipe.id, *request.languages)
            return ImageOrigin(source="debian test", languages=languages, version="T 1.0")

        return await store.put(request.name or recipe.id, build)


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    builder = Builder()
    for module in (sources, stock_module):
        monkeypatch.setattr(module, "BUILDERS", {"debian": builder})

    async def any_suite(*_: object) -> str:
        return "test"

    monkeypatch.setattr(stock_module, "language_suite", any_suite)
    return builder


@dataclass
class Yard:
    stock: Stock
    board: JobBoard

    async def built(self, language: str, **more: object) -> str | None:
        job = await self.stock.build_language(BuildLanguageRequest.model_validate({"language": language, **more}))
        ended = await self.board.wait(job.id)
        assert ended.state is JobState.DONE, ended.error
        return ended.result


@pytest.fixture
async def yard(tmp_path: Path, builder: Builder) -> AsyncIterator[Yard]:
    settings = Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "run")
    catalogue = Catalogue({name: Recipe.model_validate({"id": name, **ROW, **row}) for name, row in ROWS.items()})
    backend = cast("Backend", SimpleNamespace(fleets=(), ready=not_ready))
    board = JobBoard()
    yield Yard(Stock(settings, catalogue, backend, Inventory(settings, catalogue, backend), board, None), board)
    await board.close()


async def not_ready() -> object:
    raise NotReadyError("no VMM in this test")


async def test_an_image_has_its_languages_id_or_the_name_it_was_given(yard: Yard) -> None:
    assert (await yard.built("l5"), await yard.built("lua", name="other")) == ("lua", "other")
    assert [image.name for image in await yard.stock.images()] == ["lua", "other"]


async def test_what_an_image_served_it_serves_on(yard: Yard, builder: Builder) -> None:
    await yard.built("lua", languages=("bash",))
    await yard.built("lua", packages=("jq",))
    again = builder.asked[-1]
    assert (again.languages, again.packages) == (("bash",), ("jq", "bash"))


async def test_what_is_served_on_is_no_reason_to_refuse_a_docker_image(
    yard: Yard, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sources, stock_module):
        monkeypatch.setattr(module, "BUILDERS", {"debian": builder, "docker": builder})
    await yard.built("bash", name="mongodb")
    await yard.built("mongodb")
    assert (builder.asked[-1].languages, builder.asked[-1].packages) == ((), ())


async def test_a_language_that_is_not_known_or_has_no_such_source_is_refused_at_once(yard: Yard) -> None:
    with pytest.raises(NotFoundError):
        await yard.stock.build_language(BuildLanguageRequest(language="none"))
    with pytest.raises(NotFoundError):
        await yard.stock.build_language(BuildLanguageRequest(language="lua", languages=("none",)))
    with pytest.raises(InputError, match="Docker"):
        await yard.stock.build_language(BuildLanguageRequest(language="lua", source="docker"))


@pytest.mark.parametrize("further", ["deno", "mongodb"])
async def test_a_further_language_that_packages_alone_do_not_bring_is_refused(yard: Yard, further: str) -> None:
    with pytest.raises(InputError, match="takes more than Debian packages"):
        await yard.stock.build_language(BuildLanguageRequest(language="lua", languages=(further,)))


async def test_an_image_of_dockers_is_taken_for_one_language(yard: Yard) -> None:
    with pytest.raises(InputError, match="no further languages"):
        await yard.stock.build_language(BuildLanguageRequest(language="mongodb", languages=("bash",)))


async def test_two_builds_of_one_name_take_turns(yard: Yard, builder: Builder) -> None:
    builder.may_go_on.clear()
    jobs = [await yard.stock.build_language(BuildLanguageRequest(language="lua")) for _ in range(2)]
    async for event in yard.board.events(jobs[1].id):
        if event.line == "waiting for Build T":
            break
    assert len(builder.asked) == 1
    builder.may_go_on.set()
    ended = [await yard.board.wait(job.id) for job in jobs]
    assert [job.state for job in ended] == [JobState.DONE, JobState.DONE]


async def test_a_replaced_build_that_nothing_uses_is_not_kept(yard: Yard) -> None:
    await yard.built("lua")
    await yard.built("lua")
    (image,) = await yard.stock.images()
    assert [path.name for path in Path(image.path).parents[1].iterdir()] == ["lua"]
    assert await yard.stock.leftovers(PruneRequest()) == ()


async def test_languages_tell_where_they_are_from_and_what_they_are(yard: Yard) -> None:
    await yard.built("lua", languages=("bash",))
    told = {each.id: (each.source, each.version, each.ready) for each in await yard.stock.languages()}
    assert told == {
        "lua": ("debian test", "T 1.0", True),
        "bash": ("debian test", None, True),
        "deno": ("debian", None, False),
        "mongodb": ("docker only", None, False),
    }


async def test_languages_tell_what_they_can_be_made_from_and_what_a_standing_proof_measured(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {name: Recipe.model_validate({"id": name, **ROW, **row}) for name, row in ROWS.items()}
    date = datetime(2026, 3, 14, tzinfo=UTC)
    proof = LanguageProof(row=row_digest(rows["lua"]), date=date, vmm="qemu 7.2", image_bytes=5_000_000, build_s=9.5)
    proofs = {"lua": proof, "bash": proof, "deno": proof.model_copy(update={"problem": "no network"})}
    monkeypatch.setattr(inventory_module, "read_proofs", lambda: proofs)
    told = {each.id: each for each in await yard.stock.languages()}
    assert {name: each.sources for name, each in told.items()} == {
        "lua": ("debian",),
        "bash": ("debian",),
        "deno": ("debian",),
        "mongodb": ("docker",),
    }
    assert (told["deno"].pypi, told["mongodb"].docker_image) == (("deno",), "mongo:7")
    measured = Measured(vmm="qemu 7.2", date=date, image_bytes=5_000_000, build_s=9.5)
    assert {name: each.measured for name, each in told.items() if each.measured} == {"lua": measured}
