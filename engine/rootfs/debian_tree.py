"""A root file system as a folder, from Debian's packages or Ubuntu's, by mmdebstrap.

The tree has Debian's essential packages, configured, so that any package installs on top; without documentation and
translations. What mmdebstrap and package scripts leave of the moment they ran at goes too, so that the same packages
give the same tree, but for times of files.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from engine.errors import InputError, InternalError, NotReadyError, VmdeckError
from engine.rootfs import command
from engine.rootfs.archive import Archive
from engine.rootfs.command import CommandFailedError
from engine.rootfs.namespace import namespace
from engine.rootfs.package_cache import PackageCache
from engine.rootfs.packages import unknown
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread

_MERGED_USR = Path("/usr/share/mmdebstrap/hooks/merged-usr")
_UNMERGED = ("bullseye",)  # has no package usr-is-merged, for which the hook waits
_ARCHIVES = "var/cache/apt/archives"
_EXCLUDED = (
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "path-include=/usr/share/locale/locale.alias",
)
# Packages that were downloaded before are there as links, for apt to find; where links can't be, they are copied.
_WITH_CACHE = (
    f'mkdir -p "$1/{_ARCHIVES}" && find "$APT_CACHE" -maxdepth 1 -name "*.deb"'
    f' -exec sh -c \'to=$0; ln -t "$to" "$@" 2>/dev/null || cp -t "$to" "$@"\' "$1/{_ARCHIVES}" {{}} + || :'
)
# mmdebstrap leaves the building host's own name and resolver in the tree.
_TIDY = (
    'rm -rf "$1"/etc/hostname "$1"/etc/resolv.conf'
    " && printf '127.0.0.1\\tlocalhost\\n::1\\tlocalhost\\n' > \"$1\"/etc/hosts"
)
# Alternatives of a JVM link manual pages, and fail where their folder is not.
_WITH_MANUALS = 'mkdir -p "$1"/usr/share/man/man1'
_NEVER_EXPIRES = '--aptopt=Acquire::Check-Valid-Until "false"'  # the lists of a dated archive are as old as that
# What mmdebstrap says as it goes, and how far it is then.
STAGES = (
    ("I: running apt-get update", 0.05),
    ("I: downloading packages", 0.1),
    ("I: extracting archives", 0.3),
    ("I: installing essential packages", 0.4),
    ("I: installing remaining packages", 0.7),
    ("I: cleaning package lists", 0.95),
)


@asynccontextmanager
async def debian_tree(
    tree: Path, suite: str, packages: Sequence[str], archive: str, cache: PackageCache, progress: Progress
) -> AsyncGenerator[Path, None]:
    """The new folder ``tree``, removed at the end. What was downloaded stays in ``cache``, whatever happens.

    ``archive`` is the address that packages come from, empty for that of the host.
    Raises InputError (unknown package or suite), NotReadyError (tool, permission, network or disk room is missing).
    """
    argv = [
        *namespace(), "mmdebstrap", "--mode=root", "--variant=essential",
        *(() if suite in _UNMERGED else (f"--hook-dir={_MERGED_USR}",)),
        *(f"--dpkgopt={option}" for option in _EXCLUDED),
        '--aptopt=Acquire::Languages "none"',
        "--skip=essential/unlink,cleanup/apt/cache",
        f"--setup-hook={_WITH_CACHE}",
        f"--setup-hook={_WITH_MANUALS}",
        f"--customize-hook={_TIDY}",
        *([f"--include={','.join(packages)}"] if packages else []),
        *([_NEVER_EXPIRES] if archive else ()),
        suite, str(tree), *_sources(suite, archive),
    ]  # fmt: skip
    if command.find("mmdebstrap") is None:
        raise NotReadyError(
            "mmdebstrap is not installed",
            remedy="Run `vmdeck setup`, or: apt-get install --no-install-recommends mmdebstrap",
        )
    try:
        progress(f"Installing {', '.join(packages) or 'essential packages'} from {suite}", 0.0)
        try:
            env = {"APT_CACHE": str(cache.apt)}
            await command.run(argv, env=env, progress=_staged(progress), package="mmdebstrap")
        except CommandFailedError as error:
            raise _explained(error, suite) from error
        finally:
            await in_thread(cache.collect, tree / _ARCHIVES)
        yield tree
    finally:
        if tree.exists():
            await asyncio.shield(asyncio.ensure_future(remove_inside(tree)))


async def remove_inside(*paths: Path) -> None:
    """In a namespace as the one they were made in: these files have owners that only exist there."""
    await command.run([*namespace(), "rm", "-rf", "--one-file-system", "--", *paths])


async def refuse_unknown(suite: str, packages: Sequence[str]) -> None:
    """As far as the host's own lists tell. Raises InputError for what would fail only after half a minute."""
    if suite != Archive.here().host_suite() or not packages or await unknown(["base-files"]):
        return
    if absent := await unknown([re.split("[:=]", name)[0] for name in packages]):
        raise _no_package(absent[0], suite)


def _sources(suite: str, archive: str) -> tuple[str, ...]:
    """Where the packages are from, as mmdebstrap's last argument; none where it finds that by itself."""
    if archive:
        return (archive,)
    here = Archive.here()
    sources = here.host_sources() if suite == here.host_suite() else None
    return () if sources is None else (str(sources),)


def _staged(progress: Progress) -> Progress:
    def stage(line: str, fraction: float | None = None) -> None:
        reached = next((share for text, share in STAGES if line.startswith(text)), fraction)
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
    return InternalError(
        f"mmdebstrap failed: {error.shown}",
        remedy="Read the log above for the cause. A package that can't be unpacked may be damaged in the cache: "
        "remove that with `vmdeck rootfs prune --cache`",
    )
