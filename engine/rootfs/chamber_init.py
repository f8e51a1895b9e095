"""The first process of a chamber: makes a tree its root, gives up what root could harm the host with, runs a command.

A program of its own, started by its path (engine/rootfs/chamber.py) in new mount, PID, network and IPC namespaces.
It imports nothing of ours, and all that it needs before the tree is its root. When it ends, the kernel ends whatever
is left in the chamber. Its one argument is JSON: tree, argv, env, and most_bytes, the output that is passed on.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND = 1, 2, 4, 8, 4096  # mount(2)
_PR_SET_NO_NEW_PRIVS = 38  # prctl(2)
_CAPABILITY_VERSION_3 = 0x20080522  # capget(2)
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETFCAP: over files, and to become another user.
_KEPT_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 31)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
_NOT_FOUND = 127  # as shells have it

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> NoReturn:
    if os.getpid() != 1:  # its mounts and its end are for a namespace only
        sys.exit("This is for the first process of a PID namespace")
    signal.signal(signal.SIGTERM, _end)  # a first process ignores it otherwise
    order: dict[str, Any] = json.loads(sys.argv[1])
    _enter(Path(order["tree"]))
    _drop_privileges()
    most_bytes: int | None = order["most_bytes"]
    output = os.pipe() if most_bytes is not None else None
    child = os.fork()
    if child == 0:
        _execute(order["argv"], order["env"], output)
    if output is not None and most_bytes is not None:
        os.close(output[1])
        _pass_on(output[0], most_bytes)
    os._exit(_end_of(child))


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)


def _enter(tree: Path) -> None:
    proc, dev = tree / "proc", tree / "dev"
    for place in (proc, dev):
        if place.is_symlink():  # package scripts made this tree: the mount would be outside of it
            sys.exit(f"/{place.name} of the tree is a link")
        place.mkdir(exist_ok=True)
    # Read-only: root without any capability may still write to settings of the host's kernel there.
    _mount("proc", proc, "proc", _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _mount("tmpfs", dev, "tmpfs", _MS_NOSUID | _MS_NOEXEC, "mode=755,size=64m")
    for name in _DEVICES:
        (dev / name).touch()
        _mount(f"/dev/{name}", dev / name, None, _MS_BIND)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    (dev / "shm").mkdir()
    (dev / "shm").chmod(0o1777)
    os.chroot(tree)
    os.chdir("/")
    os.umask(0o022)


def _drop_privileges() -> None:
    """For good: with no_new_privs even root gets none back by execve, capabilities(7)."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit(f"Privileges can't be given up: {os.strerror(ctypes.get_errno())}")
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable of the first 32, then of all others
    if _libc.capget(header, sets) != 0:
        sys.exit(f"Privileges can't be told: {os.strerror(ctypes.get_errno())}")
    kept = sum(1 << capability for capability in _KEPT_CAPABILITIES) & sets[1]
    if _libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)) != 0:
        sys.exit(f"Privileges can't be given up: {os.strerror(ctypes.get_errno())}")


def _execute(argv: list[str], env: dict[str, str], output: tuple[int, int] | None) -> NoReturn:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if output is not None:
        os.dup2(output[1], 1)
        os.dup2(output[1], 2)
        os.closerange(3, 256)
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(_NOT_FOUND)


def _pass_on(source: int, most_bytes: int) -> None:
    """Until the end of the output, or as much as is wanted of it: what writes on has no reader."""
    while most_bytes > 0 and (data := os.read(source, min(most_bytes, 65536))):
        most_bytes -= len(data)
        os.write(1, data)
    os.close(source)


def _end_of(child: int) -> int:
    while True:
        pid, status = os.wait()  # orphans of the chamber are ours to reap too
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _mount(source: str, target: Path, kind: str | None, flags: int, data: str = "") -> None:
    kind_bytes = kind.encode() if kind else None
    if _libc.mount(os.fsencode(source), os.fsencode(target), kind_bytes, ctypes.c_ulong(flags), data.encode()) != 0:
        sys.exit(f"{target} can't be mounted: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
