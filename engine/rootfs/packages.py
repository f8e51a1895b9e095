"""Debian packages taken by apt as archives and unpacked into a folder: nothing of them is installed on the host."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError, NotReadyError
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError
from engine.rootfs.progress import Progress, silent
from engine.rootfs.staging import in_thread, sha256_file

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?")


@dataclass(frozen=True, slots=True)
class Package:
    """One archive as downloaded."""

    name: str
    version: str
    architecture: str
    sha256: str
    archive: Path


async def architecture() -> str:
    """Debian's name for this host's architecture: amd64, arm64 ..."""
    return (await command.run(["dpkg", "--print-architecture"], package="dpkg")).strip()


async def dependencies(name: str) -> list[str]:
    """Real packages that ``name``'s candidate version depends on directly. Raises NotReadyError for an unknown one."""
    _check_name(name)
    lines = (await _apt(["apt-cache", "depends", "--no-recommends", "--no-suggests", name])).splitlines()
    found = [line.split(":", 1)[1].strip() for line in lines if re.match(r"\s*\|?(Pre)?Depends:", line)]
    if not lines:
        raise _unknown(name)
    return [each for each in found if _NAME.fullmatch(each)]


async def candidate_versions(names: Sequence[str]) -> dict[str, str]:
    """The version that apt would take of each. Raises NotReadyError for an unknown package."""
    for name in names:
        _check_name(name)
    policy = await _apt(["apt-cache", "policy", *names])
    versions: dict[str, str] = {}
    for block in re.split(r"^(?=\S)", policy, flags=re.MULTILINE):
        match = re.match(r"(\S+):\n(?:\s.*\n)*?\s+Candidate: (\S+)", block)
        if match is not None and match[2] != "(none)":
            versions[match[1]] = match[2]
    for name in names:
        if name not in versions:
            raise _unknown(name)
    return versions


async def unknown(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that apt has never heard of; a name that others only provide counts as known."""
    for name in names:
        _check_name(name)
    policy = await _apt(["apt-cache", "policy", *names])
    known = set(re.findall(r"^(\S+):$", policy, re.MULTILINE))
    return [name for name in names if name not in known]


async def download(names: Sequence[str], into: Path, progress: Progress = silent) -> list[Package]:
    """Download the archives of ``names`` at their candidate versions into the folder ``into``.

    Apt checks each against the signed lists of the host. Raises NotReadyError when apt does not know or can't get one.
    """
    versions = await candidate_versions(names)
    pinned = [f"{name}={versions[name]}" for name in names]
    into.mkdir(parents=True, exist_ok=True)
    # As root apt would download as its own user, who may not write here.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    try:
        await _apt(["apt-get", *sandbox, "-q", "download", *pinned], cwd=into, progress=progress)
    except CommandFailedError as error:
        raise NotReadyError(
            f"Debian packages could not be downloaded: {error.output}",
            remedy="Check the network and run `apt-get update`, then try again",
        ) from error
    packages = [await _described(archive) for archive in sorted(into.glob("*.deb"))]
    by_name = {package.name: package for package in packages}
    return [by_name[name.split(":")[0]] for name in names]


async def unpack(package: Package, into: Path) -> None:
    """The files of ``package`` under the folder ``into``; its scripts are not run."""
    await command.run(["dpkg-deb", "-x", package.archive, into], package="dpkg")


async def _described(archive: Path) -> Package:
    shown = await command.run(["dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", archive])
    name, version, arch = shown.split()
    return Package(name, version, arch, await in_thread(sha256_file, archive), archive)


async def _apt(argv: Sequence[str], *, cwd: Path | None = None, progress: Progress = silent) -> str:
    return await command.run(argv, cwd=cwd, progress=progress, package="apt")


def _check_name(name: str) -> None:
    """Names go to apt as arguments: one that begins with a dash would be an option."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name[:64]!r} is not a Debian package name", remedy="Lower case letters, digits, + - and .")


def _unknown(name: str) -> NotReadyError:
    return NotReadyError(
        f"apt has no package {name} on this host",
        remedy="Run `apt-get update` (setup does that) and see that /etc/apt/sources.list* names a Debian archive",
    )
