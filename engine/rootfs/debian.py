"""Images from Debian packages, or Ubuntu's, by mmdebstrap.

The tree has Debian's essential packages, configured, so that any package installs on top; without documentation and
translations. It is made in a mount namespace (as a user: in a user namespace too), so that nothing of it stays
mounted on the host, however the build ends.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from engine.errors import InputError, InternalError, NotReadyError, VmdeckError
from engine.folders import is_root
from engine.models import BuildImageRequest, Image
from engine.rootfs import command
from engine.rootfs.archive import Archive
from engine.rootfs.command import CommandFailedError
from engine.rootfs.filesystem import make_ext4
from engine.rootfs.packages import unknown
from engine.rootfs.progress import Progress, within
from engine.rootfs.store import ImageOrigin, ImageStore
from engine.settings import Settings

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
_HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")
_EXCLUDED = (
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "path-include=/usr/share/locale/locale.alias",
)
# mmdebstrap leaves the building host's own name and resolver in the tree.
_TIDY = (
    'rm -rf "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/var/log/* "$1"/var/cache/apt/* "$1"/var/cache/debconf/*-old'
    " && printf '127.0.0.1\\tlocalhost\\n::1\\tlocalhost\\n' > \"$1\"/etc/hosts"
)
# What mmdebstrap says as it goes, and how far it is then.
_STAGES = (
    ("I: running apt-get update", 0.05),
    ("I: downloading packages", 0.1),
    ("I: extracting archives", 0.3),
    ("I: installing essential packages", 0.4),
    ("I: installing remaining packages", 0.7),
    ("I: cleaning package lists", 0.95),
)


async def build_debian_image(
    settings: Settings, store: ImageStore, request: BuildImageRequest, progress: Progress
) -> Image:
    """Build the image that ``request`` describes, replacing one of the same name.

    Raises InputError (unknown package or suite), NotReadyError (tool, permission, network or disk room is missing).
    """
    suite = await wanted_suite(settings, request)

    async def build(rootfs: Path) -> ImageOrigin:
        async with _tree(rootfs.with_name("tree"), suite, request.packages, within(progress, 0.0, 0.85)) as tree:
            progress("Writing the file system", 0.9)
            await make_ext4(tree, rootfs, name=request.name, floor_mib=request.size_mib, prefix=_namespace())
        progress("Computing the digest and writing to disk", 0.95)
        return ImageOrigin(
            source=_origin(suite),
            languages=request.languages,
            packages=request.packages,
            suite=suite,
            env=ENVIRONMENT,
        )

    image = await store.put(request.name, build)
    progress(f"Image {image.name} is ready: {image.disk_bytes / 1e6:.0f} MB on disk", 1.0)
    return image


def _origin(suite: str) -> str:
    archive = Archive.here()
    return f"{archive.name if suite == archive.host_suite() else 'debian'} {suite}"


async def wanted_suite(settings: Settings, request: BuildImageRequest) -> str:
    """The suite to build from. Raises InputError for what would fail only after half a minute."""
    suite = request.suite or settings.default_suite or host_suite()
    await _refuse_unknown(suite, request.packages)
    return suite


async def _refuse_unknown(suite: str, packages: tuple[str, ...]) -> None:
    """As far as the host's own lists tell."""
    if suite != Archive.here().host_suite() or await unknown(["base-files"]):
        return
    if absent := await unknown([re.split("[:=]", name)[0] for name in packages]):
        raise _no_package(absent[0], suite)


def host_suite() -> str:
    """The host's own suite. Raises NotReadyError where the host is of neither Debian nor Ubuntu."""
    suite = Archive.here().host_suite()
    if not suite:
        raise NotReadyError(
            "This host is no release of Debian or Ubuntu, so there is no suite to follow",
            remedy="Name one as default_suite in the settings, such as bookworm (or --suite for a single image)",
        )
    return suite


@asynccontextmanager
async def _tree(tree: Path, suite: str, packages: tuple[str, ...], progress: Progress) -> AsyncGenerator[Path, None]:
    """A root file system as a folder, removed at the end."""
    argv = [
        *_namespace(), "mmdebstrap", "--mode=root", "--variant=essential", f"--hook-dir={_HOOKS}",
        *(f"--dpkgopt={option}" for option in _EXCLUDED),
        '--aptopt=Acquire::Languages "none"',
        f"--include={','.join(packages)}",
        f"--customize-hook={_TIDY}",
        suite, str(tree), *_sources(suite),
    ]  # fmt: skip
    if command.find("mmdebstrap") is None:
        raise NotReadyError(
            "mmdebstrap is not installed",
            remedy="Run `vmdeck setup`, or: apt-get install --no-install-recommends mmdebstrap",
        )
    try:
        progress(f"Installing {', '.join(packages)} from {suite}", 0.0)
        try:
            await command.run(argv, progress=_staged(progress), package="mmdebstrap")
        except CommandFailedError as error:
            raise _explained(error, suite) from error
        yield tree
    finally:
        if tree.exists():
            await asyncio.shield(asyncio.ensure_future(_remove(tree)))


def _sources(suite: str) -> tuple[str, ...]:
    """Where the packages are from, as mmdebstrap's last argument; none where it finds that by itself."""
    archive = Archive.here()
    sources = archive.host_sources() if suite == archive.host_suite() else None
    return () if sources is None else (str(sources),)


async def _remove(tree: Path) -> None:
    """In the namespace where it was made: its files have owners that only exist there."""
    await command.run([*_namespace(), "rm", "-rf", "--one-file-system", "--", tree])


def _namespace() -> tuple[str, ...]:
    """Command prefix. A user is root there by a map of their subordinate ids."""
    own_users = () if is_root() else ("--map-root-user", "--map-auto")
    # The root of a chroot need not be a mount, and then unshare can't make it private; mmdebstrap unmounts by itself.
    mounts = () if _root_is_mount() else ("--propagation", "unchanged")
    return ("unshare", *own_users, "--mount", *mounts, "--")


def _root_is_mount(table: Path = Path("/proc/self/mountinfo")) -> bool:
    return any(line.split()[4] == "/" for line in table.read_text().splitlines())


def _staged(progress: Progress) -> Progress:
    def stage(line: str, fraction: float | None = None) -> None:
        reached = next((share for text, share in _STAGES if line.startswith(text)), fraction)
        progress(line, reached)

    return stage


_Explain = Callable[[str, str], VmdeckError]


def _no_package(name: str, suite: str) -> VmdeckError:
    return InputError(f"The suite {suite} has no package {name}", remedy="Check the name with `apt-cache search`")


def _no_suite(said: str, suite: str) -> VmdeckError:
    return InputError(f"The archive has no suite {suite}", remedy="Take one that is there, such as bookworm")


def _no_network(said: str, suite: str) -> VmdeckError:
    return NotReadyError(
        f"The archive of packages can't be reached: {said}", remedy="Check network and proxy, then try again"
    )


def _no_key(said: str, suite: str) -> VmdeckError:
    return NotReadyError(
        f"The archive of {suite} is signed with a key that this host does not have: {said}",
        remedy="Install the keys of that archive: debian-archive-keyring or ubuntu-keyring, by apt-get install",
    )


def _no_namespace(said: str, suite: str) -> VmdeckError:
    return NotReadyError(
        f"No user namespace for building: {said}",
        remedy=f"Install uidmap and give user {os.getuid()} a range in /etc/subuid and /etc/subgid, or build as root",
    )


_CAUSES: tuple[tuple[str, _Explain], ...] = (
    (r"Unable to locate package (\S+)", _no_package),
    (r"Package '?([^'\s]+)'? has no installation candidate", _no_package),
    (r"Version '[^']+' for '([^']+)' was not found", _no_package),
    (r"does not have a Release file|404 +Not Found .*Release", _no_suite),
    (r"NO_PUBKEY \w+", _no_key),
    (r"Temporary failure resolving .*|Could not (?:resolve|connect).*|Failed to fetch .*", _no_network),
    (r"unshare: .*|newuidmap: .*", _no_namespace),
)


def _explained(error: CommandFailedError, suite: str) -> VmdeckError:
    for pattern, explain in _CAUSES:
        match = re.search(pattern, error.output)
        if match is not None:
            return explain(match[match.lastindex or 0], suite)
    return InternalError(f"mmdebstrap failed: {error.message}", remedy="Read the log above for the cause")
