"""Images from Debian packages, or Ubuntu's, with wheels and npm packages on top where a language wants them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import InternalError, NotReadyError
from engine.languages.catalogue import NPM, WHEELS, Argv, Recipe
from engine.models import BuildImageRequest, BuildLanguageRequest, Image
from engine.rootfs import contents
from engine.rootfs.archive import Archive
from engine.rootfs.chamber import ask_version, run_inside
from engine.rootfs.contents import DebianPackages
from engine.rootfs.debian_tree import debian_tree, refuse_unknown
from engine.rootfs.filesystem import make_ext4
from engine.rootfs.namespace import namespace
from engine.rootfs.npm import fetch_npm_packages
from engine.rootfs.package_cache import PackageCache
from engine.rootfs.progress import Progress, within
from engine.rootfs.sameness import CLOCK_GRAIN_S, FORGET, epoch, varying
from engine.rootfs.staging import in_thread
from engine.rootfs.store import ImageOrigin, ImageStore
from engine.rootfs.version_line import AskVersion
from engine.rootfs.wheels import fetch_wheels
from engine.settings import Settings

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
_BUILD_ENVIRONMENT = {**ENVIRONMENT, "HOME": "/tmp"}  # noqa: S108 -- of the tree, and emptied at the end


@dataclass(frozen=True, slots=True)
class _Order:
    """What goes into an image. Names of packages have been checked: the models they come from do that."""

    name: str
    suite: str
    packages: Sequence[str]
    languages: Sequence[str]
    size_mib: int | None
    wheels: Sequence[str] = ()
    npm: Sequence[str] = ()
    prepare: Sequence[Argv] = ()
    version: Argv = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def environment(self) -> dict[str, str]:
        """Of the image: programs find what the wheels and npm packages brought."""
        added = {
            **({"PYTHONPATH": WHEELS} if self.wheels else {}),
            **({"NODE_PATH": f"{NPM}/node_modules"} if self.npm else {}),
        }
        return {**ENVIRONMENT, **added}

    @property
    def building(self) -> dict[str, str]:
        """Of the commands that prepare it."""
        return {**_BUILD_ENVIRONMENT, **self.environment, **self.env}


async def build_debian_image(
    settings: Settings, store: ImageStore, request: BuildImageRequest, progress: Progress
) -> Image:
    """Build the image that ``request`` describes, replacing one of the same name.

    Raises InputError (unknown package or suite), NotReadyError (tool, permission, network or disk room is missing).
    """
    suite = await wanted_suite(settings, request)
    order = _Order(request.name, suite, request.packages, request.languages, request.size_mib)
    return await _build(settings, store, order, progress)


async def build_language(
    settings: Settings,
    store: ImageStore,
    recipe: Recipe,
    request: BuildLanguageRequest,
    progress: Progress,
    _ask_version: AskVersion | None = None,
) -> Image:
    """Build a language's image from packages: those of its table in the catalogue, and those of ``request``.

    Its version is asked where the packages' own scripts have run, which starts no microVM.

    Raises what ``build_debian_image`` does, and InternalError where a command that prepares it fails.
    """
    order = _Order(
        name=request.name or recipe.id,
        suite=await language_suite(settings, recipe, request),
        packages=_unique(*(recipe.debian.packages if recipe.debian else ()), *request.packages),
        languages=_unique(recipe.id, *request.languages),
        size_mib=request.size_mib,
        wheels=_unique(*recipe.pypi, *request.pypi),
        npm=_unique(*recipe.npm, *request.npm),
        prepare=recipe.prepare,
        version=recipe.version,
        env=recipe.env,
    )
    return await _build(settings, store, order, progress)


async def wanted_suite(settings: Settings, request: BuildImageRequest) -> str:
    """The suite to build from. Raises InputError for what would fail only after half a minute."""
    suite = request.suite or settings.default_suite or host_suite()
    await _refuse_unknown(settings, suite, request.packages)
    return suite


async def language_suite(settings: Settings, recipe: Recipe, request: BuildLanguageRequest) -> str:
    """As ``wanted_suite``; a language may need a certain one."""
    own = recipe.debian.suite if recipe.debian else None
    suite = request.suite or own or settings.default_suite or host_suite()
    await _refuse_unknown(settings, suite, [*(recipe.debian.packages if recipe.debian else ()), *request.packages])
    return suite


async def _refuse_unknown(settings: Settings, suite: str, packages: Sequence[str]) -> None:
    """The host's lists tell nothing of another archive."""
    if not settings.package_archive:
        await refuse_unknown(suite, packages)


def host_suite() -> str:
    """The host's own suite. Raises NotReadyError where the host is of neither Debian nor Ubuntu."""
    suite = Archive.here().host_suite()
    if not suite:
        raise NotReadyError(
            "This host is no release of Debian or Ubuntu, so there is no suite to follow",
            remedy="Name one as default_suite in the settings, such as bookworm (or --suite for a single image)",
        )
    return suite


async def _build(settings: Settings, store: ImageStore, order: _Order, progress: Progress) -> Image:
    cache = PackageCache(settings)

    async def build(rootfs: Path) -> ImageOrigin:
        tree_at, began_s = rootfs.with_name("tree"), time.time() - CLOCK_GRAIN_S
        async with (
            cache.used(),
            debian_tree(
                tree_at, order.suite, order.packages, settings.package_archive, cache, within(progress, 0.0, 0.6)
            ) as tree,
        ):
            origin = await _filled(tree, order, cache, progress)
            progress("Writing the file system", 0.9)
            epoch_s = await in_thread(epoch, tree, began_s)
            await make_ext4(
                tree, rootfs, name=order.name, floor_mib=order.size_mib, epoch_s=epoch_s, prefix=namespace()
            )
        progress("Computing the digest and writing to disk", 0.95)
        return origin

    image = await store.put(order.name, build)
    progress(f"Image {image.name} is ready: {image.disk_bytes / 1e6:.0f} MB on disk", 1.0)
    return image


async def _filled(tree: Path, order: _Order, cache: PackageCache, progress: Progress) -> ImageOrigin:
    """Put what else is wanted into a tree that has Debian's packages; what is in it then."""
    debian = await in_thread(DebianPackages.of, tree)
    await in_thread(cache.mark_used, debian.archives())
    installed = [f"{each} (Debian)" for each in debian.lines()]
    if order.wheels:
        progress(f"Installing wheels: {', '.join(order.wheels)}", 0.6)
        fetched = tree.with_name("wheels")
        python, glibc = debian.release("python3-minimal"), debian.release("libc6")
        await fetch_wheels(order.wheels, fetched, cache, progress, python=python, glibc=glibc)
        installed += [f"{each} (PyPI)" for each in contents.wheels(fetched)]
        await in_thread(_move_in, fetched, tree, WHEELS)
    if order.npm:
        progress(f"Installing npm packages: {', '.join(order.npm)}", 0.7)
        fetched = tree.with_name("npm")
        await fetch_npm_packages(order.npm, fetched, cache, progress)
        installed += [f"{each} (npm)" for each in await in_thread(contents.npm_packages, fetched)]
        await in_thread(_move_in, fetched, tree, NPM)
    for argv in order.prepare:
        progress(f"Preparing: {' '.join(argv)[:200]}", 0.8)
        await run_inside(tree, argv, order.building, progress)
    version = None
    if order.version:
        progress("Asking the version", 0.85)
        version = await ask_version(tree, order.version, order.building)
    await run_inside(tree, FORGET, _BUILD_ENVIRONMENT, progress)
    return ImageOrigin(
        source=_origin(order.suite),
        languages=tuple(order.languages),
        packages=tuple(order.packages),
        pypi=tuple(order.wheels),
        npm=tuple(order.npm),
        suite=order.suite,
        version=version,
        installed=tuple(installed),
        varies=await in_thread(varying, tree, bool(order.prepare)),
        env=order.environment,
    )


def _move_in(fetched: Path, tree: Path, place: str) -> None:
    """Put a folder to its place in the tree; package scripts made that, so a link on the way would lead out of it."""
    target = tree / place.lstrip("/")
    parent = target.parent
    if parent.resolve() != tree.resolve() / parent.relative_to(tree):
        raise InternalError(f"{Path(place).parent} of the tree is a link: nothing is put there")
    parent.mkdir(parents=True, exist_ok=True)
    fetched.rename(target)


def _origin(suite: str) -> str:
    archive = Archive.here()
    return f"{archive.name if suite == archive.host_suite() else 'debian'} {suite}"


def _unique(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
