"""The check whether VMM processes can be confined here: users of their own, and control groups around them."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
from pathlib import Path

from engine.errors import NotReadyError
from engine.host import jail_means
from engine.host.choice import choose_vmm
from engine.host.control_groups import hierarchy
from engine.host.finding import Finding, Surroundings, degraded, ok
from engine.models import Severity

_ASKED_ONE_BY_ONE = 256  # ids; a directory service may take long for each
_SUBORDINATE = "subuid"


async def jail(around: Surroundings) -> Finding:
    """By the predicates that the drivers of VMMs go by."""
    found = await asyncio.to_thread(_look, around)
    if found.severity is Severity.OK and await _opens_kvm(around):
        return _device_shut(around.kvm_device) or found
    return found


def _look(around: Surroundings) -> Finding:
    settings = around.settings
    if settings.jail == "off":
        return degraded("OFF by settings: a guest that breaks out of its VM is this user", 'Set jail = "on".')
    if os.geteuid() != 0:
        return degraded(
            "not root, so VMMs run as this user: one that is taken over has all that this user has",
            "Run vmdeck as root, as the service does.",
        )
    if hindrance := jail_means.without_users(settings.jail_uids, around.proc):
        return degraded(
            f"{hindrance}, so VMMs run as it",
            "Give it CAP_SETUID and CAP_SETGID, and in a container the user ids of the jails (jail_uid_first).",
        )
    first, last = settings.jail_uids[0], settings.jail_uids[-1]
    if owners := _owners(around, settings.jail_uids):
        return degraded(
            f"user ids {first} to {last} belong to {', '.join(owners)} too",
            "Set jail_uid_first to a range that is nobody's.",
        )
    if group := _group(settings.jail_gid):
        return degraded(f"group id {settings.jail_gid} is that of {group}", "Set jail_gid to one that is nobody's.")
    if hindrance := jail_means.without_claims(around.run / jail_means.CLAIMS.relative_to("/run")):
        return degraded(
            f"user ids for jails can't be claimed: {hindrance}",
            f"Make {jail_means.CLAIMS.parent} a folder that root can write.",
        )
    groups = hierarchy(around)
    if groups.missing:
        return degraded(f"no control group for {', '.join(groups.missing)}", "See the check on control groups.")
    if hindrance := jail_means.without_groups(groups.version, groups.folders):
        return degraded(hindrance, "In a container: give it its own control groups, writable.")
    return ok(f"on: user ids {first} to {last}, control groups v{groups.version}")


async def _opens_kvm(around: Surroundings) -> bool:
    """QEMU opens the host's device; Firecracker's jailer makes a node of its own."""
    verdict = await around.kvm()
    if verdict.kind not in ("native", "emulated"):
        return False
    try:
        choice = (await choose_vmm(around.settings, verdict)).choice
    except NotReadyError:  # nothing can start; other checks say so
        return False
    return (choice.vmm, choice.accelerator) == ("qemu", "kvm")


def _device_shut(device: Path) -> Finding | None:
    try:
        jail_means.groups_that_open(device)
    except NotReadyError as error:
        return degraded(error.message, error.remedy)
    return None


def _owners(around: Surroundings, uids: range) -> list[str]:
    """Accounts with an id in the range, and those whose containers may get one."""
    accounts = {account.pw_name for account in pwd.getpwall() if account.pw_uid in uids}
    for uid in uids[:_ASKED_ONE_BY_ONE]:
        try:
            accounts.add(pwd.getpwuid(uid).pw_name)
        except KeyError:
            continue
    return sorted(accounts) + [f"containers of {name}" for name in _lent(around.etc / _SUBORDINATE, uids)]


def _lent(table: Path, uids: range) -> list[str]:
    """Names from /etc/subuid, lines of name:first:count, whose ids overlap ``uids``."""
    names: list[str] = []
    for line in table.read_text().splitlines() if table.exists() else ():
        name, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if first.isdigit() and count.isdigit() and int(first) < uids.stop and int(first) + int(count) > uids.start:
            names.append(name)
    return names


def _group(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None
