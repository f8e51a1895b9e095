"""Checks of what vmdeck keeps on disk: its folders, and the artefacts in them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

from engine.host.finding import Finding, Look, Surroundings, blocked, degraded, ok
from engine.host.listed import listed
from engine.host.room import existing_parent
from engine.settings import Settings

MANIFEST = "manifest.json"
_DIGEST = re.compile("[0-9a-f]{64}")  # what a folder of the initramfs is named by
_DIGEST_SHOWN = 12
_SOCKET_PATH_BYTES = 107  # sockaddr_un holds 108 with the NUL
_SOCKET_NAME_BYTES = 48  # "/<vm id>/<socket>" below settings.vms_dir


def artefact(folder: Callable[[Settings], Path], *, missing: Callable[[str], Finding]) -> Look:
    """A check that at least one folder with a readable manifest is there; ``missing`` makes the finding if not."""

    def look(around: Surroundings) -> Finding:
        found, broken = _manifests(folder(around.settings))
        names = [name[:_DIGEST_SHOWN] if _DIGEST.fullmatch(name) else name for name in found]
        if names:
            return degraded(f"{listed(names)}; not readable: {listed(broken)}") if broken else ok(listed(names))
        where = folder(around.settings)
        return missing(f"none readable in {where}: {listed(broken)}" if broken else f"none in {where}")

    return look


def python_snapshot(around: Surroundings) -> Finding:
    names, _ = _manifests(around.settings.snapshots_dir)
    python = [name for name, manifest in names.items() if manifest.get("language") == "python"]
    return ok(listed(python)) if python else degraded("none; every Python run boots cold, which takes seconds")


def folders(around: Surroundings) -> Finding:
    settings = around.settings
    too_long = len(os.fsencode(settings.vms_dir)) + _SOCKET_NAME_BYTES > _SOCKET_PATH_BYTES
    if too_long:
        limit = _SOCKET_PATH_BYTES - _SOCKET_NAME_BYTES
        return blocked(
            f"{settings.vms_dir} is too long: sockets below it would pass the kernel's {_SOCKET_PATH_BYTES} bytes",
            f"Set runtime_dir so that its vms folder has at most {limit} bytes.",
        )
    wanted = (settings.data_dir, settings.runtime_dir)
    shut = [path for path in wanted if not os.access(existing_parent(path), os.W_OK | os.X_OK)]
    if shut:
        return blocked(f"{listed(shut)} can't be written by this user")
    absent = [path for path in wanted if not path.is_dir()]
    return degraded(f"{listed(absent)} not made yet") if absent else ok(listed(wanted))


def _manifests(folder: Path) -> tuple[dict[str, dict[str, object]], list[str]]:
    """Manifests by the name of their folder, and the names of folders whose manifest can't be read.

    Names that start with a dot are work in progress, and folders without a manifest were never finished.
    """
    found: dict[str, dict[str, object]] = {}
    broken: list[str] = []
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        name = path.parent.name
        if name.startswith("."):
            continue
        try:
            manifest = json.loads(path.read_bytes())
        except (OSError, ValueError):
            manifest = None
        if isinstance(manifest, dict):
            found[name] = cast(dict[str, object], manifest)
        else:
            broken.append(name)
    return found, broken
