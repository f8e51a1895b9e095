"""Checks of what vmdeck keeps and leaves on disk: artefacts, room, remains of dead VMs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from engine.host.finding import Finding, Look, Surroundings, blocked, degraded, info, ok
from engine.host.owner import owner_of
from engine.host.room import existing_parent, free_bytes
from engine.settings import Settings

MANIFEST = "manifest.json"
_MIB = 1024 * 1024
_ROOM_NEEDED_MIB = 256
_ROOM_WANTED_MIB = 3 * 1024
_NAMES_SHOWN = 4
_SOCKET_PATH_BYTES = 107  # sockaddr_un holds 108 with the NUL
_SOCKET_NAME_BYTES = 48  # "/<vm id>/<socket>" below settings.vms_dir


def artefact(folder: Callable[[Settings], Path], *, missing: Callable[[str], Finding]) -> Look:
    """A check that at least one folder with a readable manifest is there; ``missing`` makes the finding if not."""

    def look(around: Surroundings) -> Finding:
        names, broken = _manifests(folder(around.settings))
        if names:
            return degraded(f"{_list(names)}; not readable: {_list(broken)}") if broken else ok(_list(names))
        where = folder(around.settings)
        return missing(f"none readable in {where}: {_list(broken)}" if broken else f"none in {where}")

    return look


def python_snapshot(around: Surroundings) -> Finding:
    names, _ = _manifests(around.settings.snapshots_dir)
    python = [name for name, manifest in names.items() if manifest.get("language") == "python"]
    return ok(_list(python)) if python else degraded("none; every Python run boots cold, which takes seconds")


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
        return blocked(f"{_list(shut)} can't be written by this user")
    absent = [path for path in wanted if not path.is_dir()]
    return degraded(f"{_list(absent)} not made yet") if absent else ok(_list(wanted))


def disk_room(around: Surroundings) -> Finding:
    free_mib = free_bytes(around.settings.data_dir) // _MIB
    seen = f"{free_mib:,} MiB free for {around.settings.data_dir}"
    if free_mib >= _ROOM_WANTED_MIB:
        return ok(seen)
    if free_mib >= _ROOM_NEEDED_MIB:
        return degraded(f"{seen}; setup wants {_ROOM_WANTED_MIB:,}")
    return blocked(f"{seen}; at least {_ROOM_NEEDED_MIB} are needed")


def leftovers(around: Surroundings) -> Finding:
    vms = around.settings.vms_dir
    homes = sorted(path for path in vms.iterdir() if path.is_dir()) if vms.is_dir() else []
    owners = [(home, owner_of(home)) for home in homes]
    dead = [home.name for home, owner in owners if owner is not None and not owner.alive()]
    unowned = [home.name for home, owner in owners if owner is None]
    if dead:
        return degraded(f"{len(dead)} VMs of an engine that died: {_list(dead)}")
    return info(f"{len(unowned)} without a note of their owner: {_list(unowned)}") if unowned else ok("none")


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


def _list(names: Iterable[object]) -> str:
    """The first few, and how many more."""
    texts = [str(name) for name in names]
    more = len(texts) - _NAMES_SHOWN
    return ", ".join(texts[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
