"""What is kept to run code from, and what changes it: building, making, renewing and removing images and snapshots."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import TypeVar

from engine.backend import Backend
from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError
from engine.history import History, ImageUsage, ProofQuery, SnapshotUsage
from engine.inventory import Inventory
from engine.jobs import JobBoard, JobContext
from engine.languages.catalogue import Catalogue, Recipe
from engine.models import (
    BuildImageRequest,
    BuildLanguageRequest,
    CreateSnapshotRequest,
    DockerImageRequest,
    Image,
    Job,
    Language,
    Leftover,
    Proof,
    PruneRequest,
    Snapshot,
)
from engine.rootfs.debian import build_debian_image, language_suite, wanted_suite
from engine.rootfs.docker.build import build_docker_image
from engine.rootfs.package_cache import PackageCache
from engine.rootfs.sources import BUILDERS, chosen, is_packages_only
from engine.rootfs.staging import in_thread
from engine.settings import Settings
from engine.snapshots.create import SnapshotOrder, create
from engine.tool_version import version_in_vm
from engine.vmm.fleet import VmPurpose

_log = logging.getLogger(__name__)
Kept = TypeVar("Kept", Image, Snapshot)
AskUsage = Callable[[History, Mapping[str, datetime]], Awaitable[Mapping[str, ImageUsage | SnapshotUsage]]]


class Stock:
    """Images and snapshots of one data folder; long work becomes a job on the board."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        backend: Backend,
        inventory: Inventory,
        jobs: JobBoard,
        history: History | None,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._backend = backend
        self._inventory = inventory
        self._jobs = jobs
        self._history = history

    # --- languages

    async def languages(self) -> Sequence[Language]:
        """Each with its latest proof: a snapshot's making, or a run that history knows of."""
        found = await self._inventory.languages()
        images = {image.name: image for image in await in_thread(self._inventory.images.list)}
        asked = [
            ProofQuery((each.id, *each.aliases), each.image, images[each.image].created)
            for each in found
            if each.image in images
        ]
        try:
            ran = await self._history.proofs(asked) if self._history else {}
        except NotReadyError as error:
            _log.warning("languages without history: %s", error)
            ran = {}
        return [each.model_copy(update={"proven": _latest(each.proven, ran.get(each.id))}) for each in found]

    # --- images

    async def images(self) -> Sequence[Image]:
        images = await in_thread(self._inventory.list_images, self._live_vms())
        return await self._with_usage(images, History.image_usage)

    async def build_image(self, request: BuildImageRequest) -> Job:
        for language in request.languages:
            self._catalogue.recipe(language)
        await wanted_suite(self._settings, request)

        async def work(context: JobContext) -> str:
            image = await build_debian_image(self._settings, self._inventory.images, request, context)
            await in_thread(self._inventory.remove_unused, image.name)
            return image.name

        return self._jobs.start("image", f"Build image {request.name}", work, exclusive_key=f"image {request.name}")

    async def build_language(self, request: BuildLanguageRequest) -> Job:
        recipe = self._catalogue.recipe(request.language)
        asked = {each.id: each for each in map(self._catalogue.recipe, request.languages)}
        source = chosen(recipe, request)
        if source == "debian":
            _refuse_unserved(recipe, asked.values())
            request = self._serving_on(recipe, request, asked)
            await language_suite(self._settings, recipe, request)
        name, wanted = request.name or recipe.id, request

        async def work(context: JobContext) -> str:
            ask = partial(self._version, recipe)
            await BUILDERS[source](self._settings, self._inventory.images, recipe, wanted, context, ask)
            await in_thread(self._inventory.remove_unused, name)
            return name

        title = f"Build {recipe.title}" if name == recipe.id else f"Build {recipe.title} as {name}"
        return self._jobs.start("image", title, work, exclusive_key=f"image {name}")

    async def leftovers(self, request: PruneRequest) -> Sequence[Leftover]:
        return await in_thread(self._leftovers, request)

    async def prune(self, request: PruneRequest) -> Sequence[Leftover]:
        return await in_thread(self._prune, request)

    async def build_docker_image(self, request: DockerImageRequest) -> Job:
        recipes = [self._catalogue.recipe(language) for language in request.languages]
        ask = partial(self._version, recipes[0]) if recipes else None

        async def work(context: JobContext) -> str:
            image = await build_docker_image(self._inventory.images, request, context, ask)
            await in_thread(self._inventory.remove_unused, image.name)
            return image.name

        title = f"Build image {request.name} from Docker's"
        return self._jobs.start("image", title, work, exclusive_key=f"image {request.name}")

    async def remove_image(self, name: str) -> None:
        self._refuse_while_made(f"image {name}")
        await in_thread(self._inventory.remove_image, name, self._live_vms())

    # --- snapshots

    async def snapshots(self) -> Sequence[Snapshot]:
        return await self._with_usage(await self._inventory.list_snapshots(), History.snapshot_usage)

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job:
        order = await self._inventory.order(request.language, request.name, request.memory_mib, request.vcpus)

        async def work(context: JobContext) -> str:
            return await self._made(order, context)

        return self._jobs.start("snapshot", f"Make snapshot {order.name}", work, exclusive_key=f"snapshot {order.name}")

    async def refresh_snapshot(self, name: str) -> Job:
        await self._inventory.renewal(name)  # what can be told at once is told at once

        async def work(context: JobContext) -> str:
            return await self._made(await self._inventory.renewal(name), context)

        return self._jobs.start("snapshot", f"Make snapshot {name} anew", work, exclusive_key=f"snapshot {name}")

    async def remove_snapshot(self, name: str) -> None:
        self._refuse_while_made(f"snapshot {name}")
        in_use = {purpose.snapshot for purpose in self._live_vms().values() if purpose.snapshot}
        await self._inventory.snapshots.remove(name, in_use)

    # --- what is left

    def _leftovers(self, request: PruneRequest) -> Sequence[Leftover]:
        images = [_leftover(image) for image in self._inventory.older_unused()]
        return (*images, *PackageCache(self._settings).leftovers(clear=request.cache == "clear"))

    def _prune(self, request: PruneRequest) -> Sequence[Leftover]:
        # First what may be refused, so that a refusal leaves all as it was.
        cached = PackageCache(self._settings).remove(clear=request.cache == "clear")
        return (*map(_leftover, self._inventory.remove_unused()), *cached)

    # --- what both need

    def _serving_on(
        self, recipe: Recipe, request: BuildLanguageRequest, asked: Mapping[str, Recipe]
    ) -> BuildLanguageRequest:
        """``request`` with the languages that are ``asked`` for, and those that the image of its name serves now, as
        far as packages make them work."""
        try:
            older = self._inventory.images.check(request.name or recipe.id).languages
        except NotFoundError:
            older = ()
        served = {each.id: each for each in self._catalogue if each.id in older and is_packages_only(each)}
        served = {name: each for name, each in {**asked, **served}.items() if name != recipe.id}
        packages = [name for each in served.values() if each.debian for name in each.debian.packages]
        return request.model_copy(
            update={"languages": tuple(served), "packages": tuple(dict.fromkeys((*request.packages, *packages)))}
        )

    async def _made(self, order: SnapshotOrder, context: JobContext) -> str:
        ready = await self._backend.ready()
        return (await create(order, ready.fleet, self._settings, context)).name

    async def _version(self, recipe: Recipe, image: Image) -> str | None:
        return await version_in_vm(recipe, image, self._backend, self._settings)

    def _live_vms(self) -> dict[str, VmPurpose]:
        return {vm_id: purpose for fleet in self._backend.fleets for vm_id, purpose in fleet.purposes.items()}

    def _refuse_while_made(self, key: str) -> None:
        if job := self._jobs.holder(key):
            raise ConflictError(f"The job {job.title!r} makes it just now", remedy="Wait for the job, or cancel it")

    async def _with_usage(self, found: Sequence[Kept], ask: AskUsage) -> Sequence[Kept]:
        """Each with what history knows of it, not of others that had its name; without it where it can't be read."""
        if self._history is None:
            return found
        try:
            usage = await ask(self._history, {each.name: each.created for each in found})
        except NotReadyError as error:
            _log.warning("inventory without its history: %s", error)
            return found
        return [each.model_copy(update=asdict(usage[each.name])) if each.name in usage else each for each in found]


def _latest(*proofs: Proof | None) -> Proof | None:
    return max((proof for proof in proofs if proof), key=lambda proof: proof.date, default=None)


def _refuse_unserved(recipe: Recipe, asked: Iterable[Recipe]) -> None:
    """Raises InputError for further languages that would be named in the image and not be in it."""
    for each in asked:
        if each.id != recipe.id and not is_packages_only(each):
            raise InputError(
                f"{each.title} can't be added to an image of {recipe.title}: it takes more than Debian packages",
                remedy=f"Build an image of its own: vmdeck rootfs build {each.id}",
            )


def _leftover(image: Image) -> Leftover:
    why = "an older build; no snapshot uses it"
    return Leftover(kind="image", name=image.name, why=why, disk_bytes=image.disk_bytes)
