"""Steps that make what microVMs run: kernel, initramfs, the first image and its snapshot."""

from __future__ import annotations

from engine.errors import NotFoundError, NotReadyError
from engine.models import BuildImageRequest
from engine.rootfs.archive import Archive
from engine.rootfs.debian import build_debian_image
from engine.rootfs.initramfs import build_initramfs, installed_initramfs, load_initramfs
from engine.rootfs.kernel import Kernel, fetch_packaged_kernel, installed_kernel
from engine.rootfs.progress import Progress
from engine.rootfs.staging import explained, in_thread, remove_folder
from engine.settings import Settings
from engine.setup.base import Finding, SetupContext
from engine.setup.ledger import making
from engine.setup.placing import make_folder
from engine.setup.system import with_fresh_lists

LANGUAGE = "python"
# Bash is among the essential packages of every image.
IMAGE = BuildImageRequest(name=LANGUAGE, packages=("python3",), suite=None, size_mib=None, languages=(LANGUAGE, "bash"))

_NO_KERNEL = "there is no guest kernel, and it is left out as asked"
_BUILDS_KEPT = 3  # the newest, and those of versions that one may go back to; 13 MB each


async def check_kernel(ctx: SetupContext) -> Finding:
    kernel = installed_kernel(ctx.settings)
    if kernel is None:
        return Finding(False, "none here", (f"download and unpack {Archive.here().kernel}",))
    return Finding(True, kernel.id)


async def apply_kernel(ctx: SetupContext, progress: Progress) -> None:
    async def fetch() -> None:
        await fetch_packaged_kernel(ctx.settings, progress)

    await with_fresh_lists(fetch, progress)


async def check_initramfs(ctx: SetupContext) -> Finding:
    would = ("download the distribution's Python (about 8 MB) and build the guest's initramfs from it",)
    kernel = installed_kernel(ctx.settings)
    if _has_no_kernel(ctx):
        return Finding(False, _NO_KERNEL, skipped=True)
    if kernel is None:
        return Finding(False, "no kernel yet", would)
    initramfs = installed_initramfs(ctx.settings, kernel)
    if initramfs is None:
        return Finding(False, "none here for this kernel and version of vmdeck", would)
    return Finding(True, f"{initramfs.digest[:12]}, {initramfs.manifest.size_bytes / 1e6:.1f} MB")


async def apply_initramfs(ctx: SetupContext, progress: Progress) -> None:
    async def build() -> None:
        await build_initramfs(ctx.settings, _kernel(ctx.settings), progress)

    await with_fresh_lists(build, progress)
    await in_thread(_remove_old_builds, ctx.settings)


async def check_image(ctx: SetupContext) -> Finding:
    would = (f"build the image {IMAGE.name} from the distribution's packages (about half a minute, 105 MB)",)
    try:
        image = ctx.images.check(IMAGE.name)
    except NotFoundError:
        return Finding(False, "none here", would)
    return Finding(image.problem is None, image.problem or image.digest[:12], () if image.problem is None else would)


async def apply_image(ctx: SetupContext, progress: Progress) -> None:
    folder = ctx.settings.images_dir / IMAGE.name
    try:
        make_folder(ctx.record, "image", ctx.settings.cache_dir)  # the build keeps its downloads there
    except OSError as error:
        raise explained(error, ctx.settings.cache_dir) from error
    async with making(ctx, "image", folder):
        await build_debian_image(ctx.settings, ctx.images, IMAGE, progress)


async def check_snapshot(ctx: SetupContext) -> Finding:
    if _has_no_kernel(ctx):
        return Finding(False, _NO_KERNEL, skipped=True)
    problem = await ctx.snapshot_ready(LANGUAGE)
    if problem is not None:
        return Finding(False, problem, (f"boot {LANGUAGE} once and save its state",))
    return Finding(True, "fits this host")


async def apply_snapshot(ctx: SetupContext, progress: Progress) -> None:
    progress(f"Booting {LANGUAGE} and saving its state")
    await ctx.create_snapshot(LANGUAGE, progress)


def _has_no_kernel(ctx: SetupContext) -> bool:
    """For good: setup is not to bring one."""
    return "kernel" in ctx.options.skip and installed_kernel(ctx.settings) is None


def _remove_old_builds(settings: Settings) -> None:
    builds = [build for folder in settings.guest_dir.iterdir() if (build := load_initramfs(folder)) is not None]
    builds.sort(key=lambda build: build.manifest.created, reverse=True)
    for old in builds[_BUILDS_KEPT:]:
        remove_folder(old.path.parent)


def _kernel(settings: Settings) -> Kernel:
    kernel = installed_kernel(settings)
    if kernel is None:
        raise NotReadyError("There is no kernel to build the initramfs for", remedy="Run `vmdeck setup`")
    return kernel
