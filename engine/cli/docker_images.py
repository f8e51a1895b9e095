"""The command that makes an image of one of Docker's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.follow import follow
from engine.cli.session import checked, with_engine

if TYPE_CHECKING:
    from engine.api import EngineApi
    from engine.models import Job


def from_docker(
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the new image.")],
    image: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="Docker image; pulled by the Docker engine where absent.")
    ] = None,
    tar: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="What docker save or docker export wrote, or an OCI layout (tar or folder)."),
    ] = None,
    size: Annotated[int | None, typer.Option(metavar="MIB", help="MiB at least; without it content plus room.")] = None,
    lang: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A language that the image serves; may be repeated.")
    ] = None,
    docker_host: Annotated[
        str | None, typer.Option(metavar="URL", help="Docker engine; without it the one of DOCKER_HOST or the usual.")
    ] = None,
) -> None:
    """Build an image from one of Docker's: from an engine, or from an archive."""
    from engine.models import DockerImageRequest

    request = checked(
        DockerImageRequest,
        name=name,
        image=image,
        tar=None if tar is None else str(tar.absolute()),
        docker_host=docker_host,
        size_mib=size,
        languages=tuple(lang or ()),
    )

    async def build(engine: EngineApi) -> Job:
        return await follow(engine, await engine.build_docker_image(request))

    print(f"Image {with_engine(build).result} is ready")
