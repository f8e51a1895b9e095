"""Commands for images (rootfs): build, list, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import listing, transfer
from engine.cli.follow import follow
from engine.cli.session import checked, with_engine
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.api import EngineApi
    from engine.models import Image, Job


def from_debian(
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the new image.")],
    packages: Annotated[
        list[str], typer.Option(metavar="NAMES", help="Debian packages, with commas between or the option repeated.")
    ],
    suite: Annotated[str | None, typer.Option(metavar="NAME", help="Debian suite; without it the host's own.")] = None,
    size: Annotated[int | None, typer.Option(metavar="MIB", help="MiB at least; without it content plus room.")] = None,
    lang: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A language that the image serves; may be repeated.")
    ] = None,
) -> None:
    """Build an image from Debian packages."""
    from engine.models import BuildImageRequest

    names = [package for each in packages for package in each.replace(",", " ").split()]
    request = checked(
        BuildImageRequest, name=name, packages=names, suite=suite, size_mib=size, languages=tuple(lang or ())
    )

    async def build(engine: EngineApi) -> Job:
        return await follow(engine, await engine.build_image(request))

    print(f"Image {with_engine(build).result} is ready")


def show(
    remote: transfer.Remote = False,
    bucket: transfer.BucketName = None,
    endpoint_url: transfer.Endpoint = None,
    prefix: transfer.Prefix = None,
    region: transfer.Region = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the images here, or those in a bucket."""
    if (at := transfer.remote_place(bucket, endpoint_url, prefix, region, asked=remote)) is not None:
        transfer.show_images(at, as_json=as_json)
        return
    columns: listing.Columns[Image] = {
        "IMAGE": lambda image: image.name,
        "LANGUAGES": lambda image: ", ".join(image.languages),
        "SOURCE": lambda image: image.source,
        "SIZE": lambda image: listing.size(image.size_bytes),
        "ON DISK": lambda image: listing.size(image.disk_bytes),
        "CREATED": lambda image: f"{image.created:%Y-%m-%d %H:%M}",
        "PROVEN": lambda image: f"{image.proven:%Y-%m-%d}" if image.proven else "no",
        "VERSION": lambda image: image.version or "",
        "PROBLEM": lambda image: image.problem or "",
    }
    found = with_engine(lambda engine: engine.images())
    listing.show(found, columns, as_json=as_json, empty="No images. `vmdeck setup` makes the first.")


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the image.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Remove an image."""
    confirm(f"Remove image {name}?", yes=yes)
    with_engine(lambda engine: engine.remove_image(name))
    print(f"Image {name} is removed")


def confirm(question: str, *, yes: bool) -> None:
    """Ask unless ``yes``; a no ends the command with exit code 1. Raises InputError where nobody can answer."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("This asks first, and there is no terminal to ask on", remedy="Give --yes to go on unasked")
    typer.confirm(question, abort=True)
