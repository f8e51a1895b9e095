"""Taking away what setup made on this host, last first, by the record in ``ledger``.

Each kind of thing has one function, which says why it left something alone. What is left is then the operator's: it is
named, and forgotten. What could not be removed stays recorded, and undo ends with an error that names it.
"""

from __future__ import annotations

import grp
import re
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import psutil

from engine.config_file import config_file
from engine.errors import NotReadyError, VmdeckError
from engine.folders import is_root
from engine.lock import CHANGES
from engine.models import SetupTrace
from engine.rootfs import command
from engine.rootfs.progress import Progress, silent
from engine.rootfs.staging import in_thread, sha256_file
from engine.setup import configuration, system, token
from engine.setup.ledger import Ledger, manifest_digest
from engine.setup.modules import Kernel
from engine.setup.systemd import has_systemd, is_known, refuse_inside, systemctl

REMOVE = ("apt-get", "-q", *system.WAITING, "remove", "--yes")
_CACHE = "cache"
_STORES = ("kernels", "guest", "images", "snapshots", "vmm")  # folders in these hold one artefact each
_ROUNDS = 20  # of asking apt what else would go


@dataclass(frozen=True, slots=True)
class Left:
    """Something that undo leaves alone, and why."""

    trace: SetupTrace
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """What the removal of a thing may need to know."""

    data_dir: Path
    progress: Progress


async def undo(ledger: Ledger, progress: Progress = silent, traces: Sequence[SetupTrace] | None = None) -> list[Left]:
    """Remove all that is recorded, or only ``traces``; what was left alone, and why.

    Raises NotReadyError in the service, which may not change its host; and at the end, naming what could not be
    removed: that stays recorded.
    """
    refuse_inside("change the host it runs on", "vmdeck setup --undo")
    chosen = list(reversed(await in_thread(ledger.traces) if traces is None else traces))
    place = Place(ledger.path.parent, progress)
    left: list[Left] = []
    failed: list[tuple[SetupTrace, VmdeckError]] = []
    for done, (kind, group) in enumerate(_groups(chosen)):
        progress(f"Removing {_named(group)}", done / max(1, len(chosen)))
        try:
            kept = await _KINDS[kind](place, group)
        except VmdeckError as error:
            failed += [(trace, error) for trace in group]
            progress(f"{_named(group)}: {error.message}")
            continue
        for each in kept:
            progress(f"left {each.trace.what}: {each.reason}")
        left += kept
        await in_thread(ledger.forget, *group)
    if failed:
        trace, error = failed[0]
        names = ", ".join(trace.what for trace, _ in failed)
        raise NotReadyError(f"Not removed: {names}. {trace.what}: {error.message}", remedy=error.remedy)
    progress("Nothing of setup is left" if not left else f"{len(left)} left as they are, and yours from now on", 1.0)
    return left


def _groups(traces: Sequence[SetupTrace]) -> list[tuple[str, list[SetupTrace]]]:
    """Packages that came together go together; everything else goes one by one."""
    found: list[tuple[str, list[SetupTrace]]] = []
    for kind, run in groupby(traces, key=lambda trace: trace.kind):
        members = list(run)
        found += [(kind, members)] if kind == "package" else [(kind, [each]) for each in members]
    return found


def _named(group: Sequence[SetupTrace]) -> str:
    return f"{group[0].kind} {', '.join(trace.what for trace in group)}"


async def _file(place: Place, group: Sequence[SetupTrace]) -> list[Left]:
    (trace,) = group
    path = Path(trace.what)
    try:
        if not path.is_symlink() and not path.exists():
            return []
        if trace.sha256 is not None and await in_thread(sha256_file, path) != trace.sha256:
            return [Left(trace, "it was changed since")]
        path.unlink()
    except OSError as error:
        raise _refused(path, error) from error
    if path.suffix == ".service" and has_systemd():
        await systemctl("daemon-reload")
    return []


async def _folder(place: Place, group: Sequence[SetupTrace]) -> list[Left]:
    (trace,) = group
    path = Path(trace.what)
    if not path.is_dir():
        return []
    artefact = path.parent.parent == place.data_dir and path.parent.name in _STORES
    try:
        if artefact:
            found = await in_thread(manifest_digest, path)
            if found != trace.sha256:
                reason = "it was made anew since" if trace.sha256 else "it is not known to be of setup"
                return [Left(trace, reason)]
            await in_thread(shutil.rmtree, path)
        elif path == place.data_dir / _CACHE:  # downloads: whoever fetched them can do so again
            await in_thread(shutil.rmtree, path)
        elif inside := sorted(each.name for each in path.iterdir() if each.name != CHANGES):
            return [Left(trace, f"it holds {', '.join(inside[:5])}{' ...' if len(inside) > 5 else ''}")]
        else:
            (path / CHANGES).unlink(missing_ok=True)
            path.rmdir()
    except OSError as error:
        raise _refused(path, error) from error
    return []


async def _packages(place: Place, group: Sequence[SetupTrace]) -> list[Left]:
    """Remove those that nothing else needs: what others brought in since then keeps what it depends on."""
    names = {trace.what for trace in group} & await system.installed()
    needed: dict[str, str] = {}
    strangers: list[str] = []
    for _ in range(_ROUNDS):
        going = sorted(names - set(needed))
        if not going:
            break
        strangers = sorted(await _would_go(going) - names)
        if not strangers:
            await system.as_root((*REMOVE, *going), place.progress)
            break
        for stranger in strangers:
            needed.update(dict.fromkeys(await _dependencies(stranger) & names, stranger))
    else:
        raise NotReadyError(
            f"apt would take away what is not setup's: {', '.join(strangers)}", remedy="Remove packages by hand"
        )
    return [Left(trace, f"{needed[trace.what]} needs it") for trace in group if trace.what in needed]


async def _would_go(names: Sequence[str]) -> set[str]:
    system.require_root((*REMOVE, *names))
    told = await command.run([*REMOVE, "--simulate", *names], env=system.UNASKED, package="apt")
    return set(re.findall(r"^(?:Remv|Purg) (\S+)", told, re.MULTILINE))


async def _dependencies(name: str) -> set[str]:
    """Installed packages that ``name`` needs, and those that they need."""
    argv = ["apt-cache", "depends", "--recurse", "--installed", "--important", name]
    return set(re.findall(r"^(\w\S*)", await command.run(argv, package="apt"), re.MULTILINE))


async def _group_member(place: Place, group: Sequence[SetupTrace]) -> list[Left]:
    (trace,) = group
    user, _, name = trace.what.partition(":")
    if user not in _members(name):
        return []
    await system.as_root(("gpasswd", "--delete", user, name), place.progress)
    return []


def _members(group: str) -> list[str]:
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


async def _module(place: Place, group: Sequence[SetupTrace]) -> list[Left]:
    (trace,) = group
    if not Kernel.running().is_loaded(trace.what):
        return []
    if trace.at.timestamp() < psutil.boot_time():
        return [Left(trace, "the host has booted since, and loaded it by itself")]
    try:
        await system.as_root(("modprobe", "--remove", trace.what), place.progress)
    except NotReadyError:
        if not is_root():
            raise
        return [Left(trace, "it is in use; it goes with the next boot")]
    return []


async def _service(place: Place, group: Sequence[SetupTrace]) -> list[Left]:
    (trace,) = group
    if has_systemd() and await is_known(trace.what):
        await systemctl("disable", "--now", trace.what, progress=place.progress)
    return []


async def _token(place: Place, group: Sequence[SetupTrace]) -> list[Left]:
    (trace,) = group
    path = Path(trace.what)
    try:
        await in_thread(token.remove, path)
    except OSError as error:
        raise _refused(path, error) from error
    return []


async def _setting(place: Place, group: Sequence[SetupTrace]) -> list[Left]:
    (trace,) = group
    if not await in_thread(configuration.take_back, trace.what, trace.before):
        return [Left(trace, f"{config_file()} was changed since")]
    return []


_KINDS: dict[str, Callable[[Place, Sequence[SetupTrace]], Awaitable[list[Left]]]] = {
    "file": _file,
    "folder": _folder,
    "package": _packages,
    "group-member": _group_member,
    "module": _module,
    "service": _service,
    "setting": _setting,
    "token": _token,
}


def _refused(path: Path, error: OSError) -> NotReadyError:
    return NotReadyError(
        f"{path} can't be removed: {error.strerror or error}", remedy="Run as the user who ran setup, often root"
    )
