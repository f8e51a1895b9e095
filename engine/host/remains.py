"""The check for what dead VMs left: homes, jails, control groups.

A home says who made it. A jail or a control group belongs to the VM of the same name: it is left over where no home
has that name, and nothing runs in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from engine.host.control_groups import hierarchy
from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kernel_file import told
from engine.host.listed import listed
from engine.host.owner import owner_of

_OUR_GROUPS = "vmdeck-"
_BY_HAND = "The engine knows nothing of them any more. As root, while no VM runs: {command}"


def remains(around: Surroundings) -> Finding:
    # Homes are made first and removed last: looked at last, they name the VM of every jail and group seen before.
    jails, groups = _jails(around), _empty_groups(around)
    vms = around.settings.vms_dir
    homes = sorted(path for path in vms.iterdir() if path.is_dir()) if vms.is_dir() else []
    owners = [(home, owner_of(home)) for home in homes]
    if dead := [home.name for home, owner in owners if owner is not None and not owner.alive()]:
        return degraded(f"{len(dead)} VMs of an engine that died: {listed(dead)}")
    known = {home.name for home in homes}
    if jails := _still_there(path for path in jails if path.name not in known):
        return degraded(
            f"{len(jails)} jails without a VM: {listed(path.name for path in jails)}",
            _BY_HAND.format(command=f"rm -r {around.settings.jails_dir}/*/*"),
        )
    if groups := _still_there(path for path in groups if path.name.removeprefix(_OUR_GROUPS) not in known):
        return info(
            f"control groups without a VM: {listed(sorted({path.name for path in groups}))}",
            _BY_HAND.format(command=f"find {' '.join(sorted({str(path) for path in groups}))} -depth -type d -delete"),
        )
    if unowned := [home.name for home, owner in owners if owner is None]:
        return info(f"{len(unowned)} without a note of their owner: {listed(unowned)}")
    return ok("none")


def _jails(around: Surroundings) -> list[Path]:
    """One folder for each VM, below one for each VMM."""
    return sorted(path for path in around.settings.jails_dir.glob("*/*") if path.is_dir())


def _empty_groups(around: Surroundings) -> list[Path]:
    groups = chain.from_iterable(folder.glob(f"{_OUR_GROUPS}*") for folder in hierarchy(around).folders)
    return sorted(group for group in groups if group.is_dir() and not any(map(told, group.rglob("cgroup.procs"))))


def _still_there(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.exists()]
