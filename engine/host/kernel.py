"""Checks of the host's kernel: its version, interfaces that VMMs may use, its clock."""

from __future__ import annotations

import ctypes
import os
import re

from engine.host.finding import Finding, Surroundings, degraded, info, ok
from engine.host.kernel_file import told

# Host kernels that Firecracker's project tests its releases on: https://github.com/firecracker-microvm/firecracker,
# docs/kernel-policy.md. 6.18 came with release 1.16. Others work, but nobody there looks.
OLDEST_KERNEL = (5, 10)
TESTED_KERNELS = ((5, 10), (6, 1), (6, 18))


def version(around: Surroundings) -> Finding:
    release = told(around.proc / "sys" / "kernel" / "osrelease") or os.uname().release
    match = re.match(r"(\d+)\.(\d+)", release)
    if match is None:
        return info(f"{release}: not numbered as Linux kernels are")
    found = (int(match[1]), int(match[2]))
    if found in TESTED_KERNELS:
        return ok(f"{release}, a series that Firecracker is tested on")
    series = ", ".join(f"{major}.{minor}" for major, minor in TESTED_KERNELS)
    if found < OLDEST_KERNEL:
        return degraded(f"{release}: too old for Firecracker, which is tested on {series}")
    return ok(f"{release}; Firecracker is tested on {series}, and newer ones work")


def userfaultfd(around: Surroundings) -> Finding:
    """vmdeck maps the memory of snapshots from files and needs none of it; opened to all it helps attackers."""
    switch = told(around.proc / "sys" / "vm" / "unprivileged_userfaultfd")
    if switch == "1":
        return info(
            "open to every user; not used by vmdeck, and of help to those who attack a kernel",
            "As root: sysctl vm.unprivileged_userfaultfd=0",
        )
    there = switch is not None or (around.dev / "userfaultfd").exists()
    return ok(f"{'for root only' if there else 'not in this kernel'}; not needed, memory is mapped from files")


class Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read; modes 0 changes nothing."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


_STA_UNSYNC = 0x40


def clock(around: Surroundings) -> Finding:
    """What the kernel's clock says of itself; guests get their time from it."""
    state = Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.byref(state)) < 0:
        return info(f"the kernel does not tell: {os.strerror(ctypes.get_errno())}")
    if state.status & _STA_UNSYNC:
        return info(
            "not synchronized, says the kernel; guests get this clock's time",
            "Run a time service, such as systemd-timesyncd or chrony.",
        )
    return ok(f"synchronized, error at most {state.maxerror / 1000:.0f} ms")
