"""The step that lets the user who will run vmdeck open /dev/kvm: membership in the device's group."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from engine.folders import is_root
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.setup import system
from engine.setup.base import Finding, SetupContext, made

STEP = "kvm-group"
DEVICE = Path("/dev/kvm")
GROUP = "kvm"


async def check(ctx: SetupContext) -> Finding:
    user = _user()
    if user is None:
        return Finding(True, "root needs no group")
    group = _group()
    if group is None:
        return Finding(False, f"this host has no group {GROUP}", skipped=True)
    if _is_member(user, group):
        return Finding(True, f"{user} is in {group}")
    return Finding(False, f"{user} is not in {group}", (" ".join(_joining(user, group)), "log in again"))


async def apply(ctx: SetupContext, progress: Progress) -> None:
    user, group = _user(), _group()
    if user is None or group is None:
        return
    argv = _joining(user, group)
    system.require_root(argv)
    await in_thread(ctx.record, made(STEP, "group-member", f"{user}:{group}"))
    await system.as_root(argv, progress)
    progress(f"{user} is to log in again, so that it takes effect")


def _joining(user: str, group: str) -> tuple[str, ...]:
    return ("usermod", "--append", "--groups", group, user)


def _user() -> str | None:
    """Who will run vmdeck: who called sudo, or who runs this. None for root."""
    try:
        found = pwd.getpwnam(os.environ.get("SUDO_USER", "root")) if is_root() else pwd.getpwuid(os.geteuid())
    except KeyError:
        return None
    return None if found.pw_uid == 0 else found.pw_name


def _group() -> str | None:
    """The device's own group, or the one that udev will give it."""
    try:
        device = grp.getgrgid(DEVICE.stat().st_gid)
        return device.gr_name if device.gr_gid != 0 else grp.getgrnam(GROUP).gr_name
    except FileNotFoundError:
        pass
    except KeyError:
        return None
    try:
        return grp.getgrnam(GROUP).gr_name
    except KeyError:
        return None


def _is_member(user: str, group: str) -> bool:
    entry = grp.getgrnam(group)
    return user in entry.gr_mem or pwd.getpwnam(user).pw_gid == entry.gr_gid
