"""The same packages give the same image: what tells of the moment or the host of a build goes, or is named.

mmdebstrap's own cleaning (logs of packages, machine-id, ldconfig's auxiliary cache) comes before; see its manual page,
"cleanup/reproducible".
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

CLOCK_GRAIN_S = 2.0  # times of files come from a coarser clock than ours
_PSEUDO = ("proc", "dev", "sys")
# In the tree as its root, so that no link leads out of it. Caches that are made again when needed, locks, the copies
# that tools keep of files before they change them, and the day that accounts were made at (shadow(5), in days).
FORGET = (
    "sh",
    "-c",
    "rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache"
    " /var/cache/fontconfig/* /var/lib/dpkg/*-old /var/lib/dpkg/lock* /var/lib/dpkg/triggers/Lock"
    " /var/lib/systemd/random-seed /var/lib/dbus/machine-id /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-"
    " /etc/subuid- /etc/subgid- /etc/.pwd.lock /run/* /tmp/* /tmp/.[!.]* && find /var/log -type f -delete"
    r" && if [ -e /etc/shadow ]; then sed -i -E 's/^([^:]*:[^:]*:)[0-9]+:/\110957:/' /etc/shadow; fi",
)
# What package scripts make with times, random numbers or the host's load in it, and programs need as it is.
_VARYING = {
    "etc/ssl/certs/java/cacerts": "Java's key store: its entries carry the time, its seal is salted",
    "usr/lib/jvm/*/lib/server/classes.jsa": "Java's archive of loaded classes",
    "var/lib/postgresql/*/*": "a database cluster: it has an identifier of its own",
    "var/lib/mysql/*": "a database: it has an identifier of its own",
    "etc/ssl/private/*": "a key of the image's own",
}
_BY_COMMANDS = "what the commands that prepare it make: they may use times and random numbers"


def epoch(tree: Path, began_s: float) -> int:
    """The latest time, in seconds since 1970, that a file of ``tree`` brought along instead of getting it here.

    Files keep the times of their packages; what is not older than ``began_s``, the build's begin, was written by it.
    ``SOURCE_DATE_EPOCH`` stands where it is set: https://reproducible-builds.org/specs/source-date-epoch/
    """
    if (wanted := os.environ.get("SOURCE_DATE_EPOCH", "")).isdecimal():
        return int(wanted)
    newest = 1
    for root, folders, names in os.walk(tree):
        if Path(root) == tree:
            folders[:] = [name for name in folders if name not in _PSEUDO]
        for name in names:
            status = Path(root, name).lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime < began_s:
                newest = max(newest, int(status.st_mtime))
    return newest


def varying(tree: Path, prepared: bool) -> tuple[str, ...]:
    """What of ``tree`` may differ in another build of the same packages, one line each."""
    found = [f"/{pattern}: {why}" for pattern, why in _VARYING.items() if any(tree.glob(pattern))]
    return (*found, *([_BY_COMMANDS] if prepared else ()))
