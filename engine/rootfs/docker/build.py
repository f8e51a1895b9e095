"""Images from Docker's: the files of one become an ext4, its ENV, WORKDIR and USER are kept in the manifest."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

from engine.errors import InputError, VmdeckError
from engine.languages.catalogue import Recipe
from engine.models import DockerImageRequest, Image
from engine.rootfs import command
from engine.rootfs.docker import child
from engine.rootfs.filesystem import make_ext4
from engine.rootfs.namespace import namespace
from engine.rootfs.progress import Progress, within
from engine.rootfs.sameness import CLOCK_GRAIN_S, epoch
from engine.rootfs.staging import in_thread
from engine.rootfs.store import ImageOrigin, ImageStore, unpublished
from engine.rootfs.version_line import AskVersion
from engine.settings import Settings

_EXPORTING = "engine.rootfs.docker.exporting"
_UNPACKING = "engine.rootfs.docker.unpacking"
_ENDS_WITH_ENGINE = ("setpriv", "--pdeathsig", "TERM", "--")


class LanguageOrder(Protocol):
    """What a language's image is to be, whatever it is made from."""

    @property
    def name(self) -> str | None: ...

    @property
    def size_mib(self) -> int | None: ...

    @property
    def languages(self) -> tuple[str, ...]: ...


async def build_docker_image(
    store: ImageStore, request: DockerImageRequest, progress: Progress, ask_version: AskVersion | None = None
) -> Image:
    """Build the image that ``request`` describes, replacing one of the same name. Nothing of it runs on the host.

    A version that can't be asked is left open, and the log says why.
    Raises InputError (no such image, an archive that is damaged or refused), NotReadyError (no engine, no disk room).
    """

    async def build(rootfs: Path) -> ImageOrigin:
        tree, began_s = rootfs.with_name("tree"), time.time() - CLOCK_GRAIN_S
        async with _unpacked(tree, request, within(progress, 0.0, 0.8)) as found:
            progress("Writing the file system", 0.9)
            epoch_s = await in_thread(epoch, tree, began_s)
            await make_ext4(
                tree, rootfs, name=request.name, floor_mib=request.size_mib, epoch_s=epoch_s, prefix=namespace()
            )
        origin = ImageOrigin(
            source=_source(request, found["name"]),
            source_id=found["id"],
            languages=request.languages,
            env=found["env"],
            workdir=found["workdir"],
            user=found["user"],
        )
        if ask_version is not None:
            progress("Asking the version, in a microVM", 0.92)
            version = await _version(ask_version, unpublished(request.name, rootfs, origin), progress)
            origin = origin.model_copy(update={"version": version})
        progress("Computing the digest and writing to disk", 0.95)
        return origin

    image = await store.put(request.name, build)
    progress(f"Image {image.name} is ready: {image.disk_bytes / 1e6:.0f} MB on disk", 1.0)
    return image


async def _version(ask: AskVersion, image: Image, progress: Progress) -> str | None:
    try:
        return await ask(image)
    except VmdeckError as error:
        progress(f"The version is not known: {error.message}")
        return None


async def build_from_docker(
    _settings: Settings,
    store: ImageStore,
    recipe: Recipe,
    order: LanguageOrder,
    progress: Progress,
    ask_version: AskVersion,
) -> Image:
    """Build a language's image from the Docker image that its table in the catalogue names.

    Raises InputError where it names none, and what ``build_docker_image`` does.
    """
    if recipe.docker is None:
        raise InputError(f"The catalogue knows no Docker image for {recipe.title}", remedy="Name one: from-docker")
    request = DockerImageRequest(
        name=order.name or recipe.id,
        image=recipe.docker.image,
        size_mib=order.size_mib,
        languages=tuple(dict.fromkeys((recipe.id, *order.languages))),
    )
    return await build_docker_image(store, request, progress, ask_version)


def _source(request: DockerImageRequest, name: str) -> str:
    """By its beginning, ``Recipe.within`` tells that Docker made the image."""
    if request.tar is None:
        return f"docker {request.image}"
    return f"docker archive {name or Path(request.tar).name}"


@asynccontextmanager
async def _unpacked(tree: Path, request: DockerImageRequest, progress: Progress) -> AsyncGenerator[Mapping[str, Any]]:
    """Fills the folder ``tree``, which is removed at the end; what is known of the image."""
    try:
        if request.tar is None:
            yield await _exported(tree, request, progress)
        else:
            wanted = () if request.image is None else ("--image", request.image)
            arguments = ("--tree", tree, "--path", request.tar, *wanted)
            yield await child.ask(_UNPACKING, arguments, progress, prefix=namespace())
    finally:
        if tree.exists():
            await asyncio.shield(asyncio.ensure_future(_remove(tree)))


async def _remove(tree: Path) -> None:
    """In such a namespace as it was made in: its files have owners that only exist there."""
    await command.run([*namespace(), "rm", "-rf", "--one-file-system", "--", tree])


async def _exported(tree: Path, request: DockerImageRequest, progress: Progress) -> Mapping[str, Any]:
    """One process writes what the engine exports to a pipe, another unpacks it: no tar archive is ever stored."""
    with _pipe() as (source, sink):
        host = () if request.docker_host is None else ("--host", request.docker_host)
        wanted = ("--image", str(request.image), "--pipe", str(sink.fileno()), *host)
        filled = ("--tree", tree, "--pipe", str(source.fileno()))

        async def exporting() -> Mapping[str, Any]:
            with sink:  # closed here too, so that the other finds the end
                return await child.ask(_EXPORTING, wanted, progress, pipe=sink.fileno(), prefix=_ENDS_WITH_ENGINE)

        async def unpacking() -> None:
            with source:
                await child.ask(_UNPACKING, filled, progress, pipe=source.fileno(), prefix=namespace())

        try:
            async with asyncio.TaskGroup() as both:
                found = both.create_task(exporting())
                both.create_task(unpacking())
        except BaseExceptionGroup as faults:
            raise faults.exceptions[0] from None  # the other has only met its partner's end
        return found.result()


@contextmanager
def _pipe() -> Generator[tuple[FileIO, FileIO]]:
    source, sink = os.pipe()
    with FileIO(source, "rb") as reading, FileIO(sink, "wb") as writing:
        yield reading, writing
