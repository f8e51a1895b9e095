"""The check whether VMM processes can be confined here: users of their own, and control groups around them."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from engine.host.control_groups import hierarchy, unwritable
from engine.host.finding import Finding, Surroundings, degraded, ok

_ASKED_ONE_BY_ONE = 256  # ids; a directory service may take long for each
_SUBORDINATE = "subuid"


def jail(around: Surroundings) -> Finding:
    settings = around.settings
    if settings.jail == "off":
        return degraded("OFF by settings: a guest that breaks out of its VM is this user", 'Set jail = "on".')
    if os.geteuid() != 0:
        return degraded(
            "not root, so VMMs run as this user: one that is taken over has all that this user has",
            "Run vmdeck as root, as the service does.",
        )
    first, last = settings.jail_uids[0], settings.jail_uids[-1]
    if owners := _owners(around, settings.jail_uids):
        return degraded(
            f"user ids {first} to {last} belong to {', '.join(owners)} too",
            "Set jail_uid_first to a range that is nobody's.",
        )
    if group := _group(settings.jail_gid):
        return degraded(f"group id {settings.jail_gid} is that of {group}", "Set jail_gid to one that is nobody's.")
    if missing := hierarchy(around).missing:
        return degraded(f"no control group for {', '.join(missing)}", "See the check on control groups.")
    if shut := unwritable(around):
        return degraded(
            f"{', '.join(map(str, shut))} can't be written",
            "In a container: give it its own control groups, writable.",
        )
    return ok(f"on: user ids {first} to {last}, control groups v{hierarchy(around).version}")


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
