"""Run a command on the file system as a unit's ProtectSystem=strict and PrivateTmp=yes leave it, without systemd.

    unshare --mount python unit_tree.py --writable FOLDER ... --shown FOLDER ... -- COMMAND ...

All but /dev, /proc, /sys and what is writable becomes read-only; /tmp and /var/tmp are empty but for what is shown.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import struct
from pathlib import Path

MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 1 << 18, 0x1000
MOUNT_SETATTR, AT_FDCWD, MOUNT_ATTR_RDONLY = 442, -100, 1
API = ("/dev", "/proc", "/sys")
TEMPORARY = ("/tmp", "/var/tmp")
LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


def mount(source: str, target: str, kind: str = "", flags: int = 0) -> None:
    checked(LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, None), target)


def set_read_only(target: str, *, on: bool) -> None:
    attributes = struct.pack("=QQQQ", *(MOUNT_ATTR_RDONLY, 0) if on else (0, MOUNT_ATTR_RDONLY), 0, 0)
    result = LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, target.encode(), 0, attributes, len(attributes))
    checked(result, target)


def is_under(path: str, folders: tuple[str, ...]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


def mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]


def confine(writable: list[str], shown: list[str]) -> None:
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    # The outer ones first: what lies in them is then there already.
    kept = {path: os.open(path, os.O_PATH) for path in sorted({*writable, *shown}) if is_under(path, TEMPORARY)}
    for folder in TEMPORARY:
        mount("tmpfs", folder, "tmpfs")
    for path, descriptor in kept.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", path, flags=MS_BIND)
        os.close(descriptor)
    for path in sorted(writable):
        mount(path, path, flags=MS_BIND)
    for path in mount_points():
        if not is_under(path, API):
            set_read_only(path, on=True)
    for path in (*TEMPORARY, *writable):
        set_read_only(path, on=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--writable", nargs="*", default=[])
    parser.add_argument("--shown", nargs="*", default=[])
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    here = Path.cwd()
    confine(given.writable, given.shown)
    os.chdir(here)
    os.execvp(given.command[0], given.command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
