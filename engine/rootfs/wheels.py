"""Wheels of PyPI in a tree, by the pip that vmdeck comes with: nothing of them runs, and nothing is compiled.

Which wheels fit is told to pip: the tree's Python and C library decide, not the host's. From where they come is the
host's own configuration of pip.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import InputError, InternalError, NotReadyError, VmdeckError
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError
from engine.rootfs.package_cache import PackageCache
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread

_OLDEST_GLIBC_MINOR = 5  # manylinux_2_5, PEP 600; older ones go by names of their own
_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_ASSUMED_PYTHON = (3, 12)  # in a tree without Python wheels are but archives of programs
_SHEBANG = re.compile(rb"\A#!(?:/bin/sh\n'''exec' .*\n' '''|.*python[0-9.]*)\n")
_INTERPRETER = b"#!/usr/bin/python3\n"


async def fetch_wheels(
    wanted: Sequence[str],
    into: Path,
    cache: PackageCache,
    progress: Progress,
    *,
    python: tuple[int, int] | None = None,
    glibc: tuple[int, int] | None = None,
    dependencies: bool = True,
) -> None:
    """Install ``wanted`` and what they depend on into the new folder ``into``.

    ``python`` and ``glibc`` are of the tree they are for; without them the host's. Raises InputError for what PyPI
    does not have as a fitting wheel, NotReadyError where it can't be reached or the disk is full.
    """
    work = into.with_name(f"{into.name}.pip")
    work.mkdir()
    argv = [
        *(sys.executable, "-m", "pip", "install", "--target", str(into), "--only-binary=:all:", "--no-compile"),
        *("--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar=off"),
        *("--cache-dir", str(cache.pip), *(() if dependencies else ("--no-deps",))),
        *("--implementation", "cp", "--python-version", ".".join(map(str, python or _ASSUMED_PYTHON))),
        *(f"--platform={tag}" for tag in _platforms(glibc or _host_glibc())),
        *("--", *wanted),
    ]
    # Its own temporary files where a killed build's are found and removed, and on the disk that they go to anyway.
    env = {"TMPDIR": str(work), "PYTHONDONTWRITEBYTECODE": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    try:
        await command.run(argv, env=env, cwd=work, progress=progress)  # there no name is a file
    except CommandFailedError as error:
        raise _explained(error) from error
    finally:
        await in_thread(shutil.rmtree, work)
    await in_thread(_make_portable, into)


def _platforms(glibc: tuple[int, int]) -> list[str]:
    """Tags of all wheels that a C library of this release can load, newest first."""
    machine = platform.machine()
    tags: list[str] = []
    for minor in range(glibc[1], _OLDEST_GLIBC_MINOR - 1, -1):
        tags.append(f"manylinux_{glibc[0]}_{minor}_{machine}")
        if minor in _OLD_NAMES:
            tags.append(f"{_OLD_NAMES[minor]}_{machine}")
    return [*tags, f"linux_{machine}"]


def _host_glibc() -> tuple[int, int]:
    major, minor = os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")[:2]  # type: ignore[union-attr]
    return int(major), int(minor)


def _make_portable(folder: Path) -> None:
    """Scripts start the tree's Python, not the host's. Records of what was installed forget them, as they changed."""
    for script in (folder / "bin").glob("*"):
        if script.is_symlink() or not script.is_file():
            continue
        with script.open("rb") as file:
            if file.read(2) != b"#!":
                continue
        script.write_bytes(_SHEBANG.sub(_INTERPRETER, script.read_bytes(), count=1))
    for record in folder.glob("*.dist-info/RECORD"):
        lines = record.read_text(errors="surrogateescape").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(("../../bin/", "bin/"))]
        record.write_text("".join(kept), errors="surrogateescape")


def _explained(error: CommandFailedError) -> VmdeckError:
    said = error.output
    if "No module named pip" in said:
        return NotReadyError("There is no pip beside vmdeck", remedy="Install vmdeck anew, with all it depends on")
    # A name that can't be looked up for want of network is "not found" too.
    if re.search(r"NewConnectionError|ConnectTimeout|Max retries exceeded|ProxyError|SSLError", said):
        return NotReadyError(
            f"PyPI can't be reached: {said.splitlines()[-1]}", remedy="Check network and pip's configuration"
        )
    if match := re.search(r"No matching distribution found for (\S+)", said):
        return InputError(
            f"PyPI has no wheel of {match[1]} that fits the image", remedy="Check name and version, or leave it out"
        )
    if match := re.search(r"(?s)(Cannot install .*?) because", said):
        return InputError(f"Wheels do not go together: {match[1]}", remedy="Ask for other versions of them")
    return InternalError(f"pip failed: {error.message}", remedy="Read the log above for the cause")
