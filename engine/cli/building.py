"""Commands that build the images of languages, and remove what is left of older builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import listing
from engine.cli.follow import follow
from engine.cli.images import confirm
from engine.cli.session import checked, with_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.api import EngineApi
    from engine.models import Job, Leftover


def build(
    lang: Annotated[str, typer.Argument(metavar="LANG", help="Id or alias of a language of the catalogue.")],
    source: Annotated[
        str, typer.Option(metavar="SOURCE", help="debian, docker, or auto: Debian where the catalogue has it.")
    ] = "auto",
    size: Annotated[int | None, typer.Option(metavar="MIB", help="MiB at least; without it content plus room.")] = None,
    packages: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Further Debian packages, commas between or the option repeated."),
    ] = None,
    pip: Annotated[
        list[str] | None, typer.Option(metavar="WHEEL", help="A further wheel, as numpy==2.1; may be repeated.")
    ] = None,
    npm: Annotated[
        list[str] | None, typer.Option(metavar="PACKAGE", help="A further npm package, as lodash@4; may be repeated.")
    ] = None,
    suite: Annotated[str | None, typer.Option(metavar="NAME", help="Debian suite; else the language's or host's.")] = (
        None
    ),
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the image; else the language's id.")] = None,
    also: Annotated[
        list[str] | None, typer.Option("--lang", metavar="NAME", help="A further language that it serves.")
    ] = None,
) -> None:
    """Build the image of a language."""
    from engine.models import BuildLanguageRequest

    request = checked(
        BuildLanguageRequest,
        language=lang,
        source=source,
        name=name,
        packages=[package for each in packages or () for package in each.replace(",", " ").split()],
        pypi=tuple(pip or ()),
        npm=tuple(npm or ()),
        suite=suite,
        size_mib=size,
        languages=tuple(also or ()),
    )

    async def start(engine: EngineApi) -> Job:
        return await follow(engine, await engine.build_language(request))

    print(f"Image {with_engine(start).result} is ready")


def prune(
    cache: Annotated[bool, typer.Option("--cache", help="All downloaded packages too, not only old ones.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; without --yes what would be removed.")] = False,
) -> None:
    """Remove older builds of images that nothing uses, and old downloads."""
    from engine.models import PruneRequest

    request = PruneRequest(cache="clear" if cache else "bound")
    found = with_engine(lambda engine: engine.leftovers(request))
    if not yes:
        _show(found, as_json=as_json)
        if as_json or not found:
            return
        confirm(f"Remove these ({_total(found)})?", yes=False)
    removed = with_engine(lambda engine: engine.prune(request)) if found else ()
    if as_json:
        listing.show_json(removed)
    else:
        print(f"{_total(removed)} are free again")


def _show(found: Sequence[Leftover], *, as_json: bool) -> None:
    columns: listing.Columns[Leftover] = {
        "WHAT": lambda each: each.name,
        "ON DISK": lambda each: listing.size(each.disk_bytes),
        "WHY": lambda each: each.why,
    }
    listing.show(found, columns, as_json=as_json, empty="Nothing to remove.")


def _total(found: Sequence[Leftover]) -> str:
    return listing.size(sum(each.disk_bytes for each in found))
