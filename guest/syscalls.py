"""System calls that Python 3.11 has no function for, by ctypes. Each raises OSError.

Sources: the man page of each call (section 2) and the kernel's uapi headers, named beside the constants.
"""

from __future__ import annotations

import ctypes
import fcntl
import os

_libc = ctypes.CDLL(None, use_errno=True)

# linux/mount.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
# linux/sched.h
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
# linux/prctl.h
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
# linux/random.h
RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207
# linux/sockios.h, linux/if.h
SIOCSIFFLAGS = 0x8914
IFF_UP = 1

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_FINIT_MODULE = {"x86_64": 313, "aarch64": 273}
MACHINE = os.uname().machine


def _check(result: int, what: str) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
    return result


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() if kind is not None else None,
            ctypes.c_ulong(flags),
            options.encode() if options is not None else None,
        ),
        f"mount {source} on {target}",
    )


def umount(target: str, flags: int = 0) -> None:
    _check(_libc.umount2(target.encode(), flags), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    _check(_libc.syscall(_PIVOT_ROOT[MACHINE], new_root.encode(), put_old.encode()), f"pivot_root {new_root}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def finit_module(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.syscall(_FINIT_MODULE[MACHINE], fd, b"", 0), f"finit_module {path}")
    finally:
        os.close(fd)


def prctl(option: int, value: int = 0, pointer: ctypes.Array[ctypes.c_char] | None = None) -> None:
    argument = ctypes.c_ulong(ctypes.addressof(pointer)) if pointer is not None else ctypes.c_ulong(0)
    _check(
        _libc.prctl(option, ctypes.c_ulong(value), argument, ctypes.c_ulong(0), ctypes.c_ulong(0)), f"prctl {option}"
    )


def drop_capability_bounds() -> None:
    """Take every capability out of the bounding set, so that no later exec can gain one (capabilities(7))."""
    last = int(_read("/proc/sys/kernel/cap_last_cap"))
    for capability in range(last + 1):
        prctl(PR_CAPBSET_DROP, capability)


def add_entropy(entropy: bytes) -> None:
    """Credit fresh bytes to the kernel's pool and have it reseed now (random(4))."""
    fd = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
    try:
        head = len(entropy) * 8
        packed = head.to_bytes(4, "little") + len(entropy).to_bytes(4, "little") + entropy
        fcntl.ioctl(fd, RNDADDENTROPY, packed)
        fcntl.ioctl(fd, RNDRESEEDCRNG)
    finally:
        os.close(fd)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
