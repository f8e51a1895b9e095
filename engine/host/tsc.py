"""How fast the time stamp counter of this host runs: what a guest that can't find out itself has to be told.

/proc/cpuinfo's "cpu MHz" is the core's speed at the moment, which a processor that saves power changes all the time;
the counter's own is nowhere to be read, so it is measured against the clock.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Callable
from functools import cache

_RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")  # rdtsc; shl rdx, 32; or rax, rdx; ret
_WINDOW_S = 0.1
_TRIES = 20


@cache
def tsc_khz() -> int | None:
    """Takes 0.1 s, once. None where there is no such counter (not an x86 host) or it may not be read."""
    if os.uname().machine != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except PermissionError:  # a hardened kernel
        return None
    page.write(_RDTSC)
    counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    ticks_before, ns_before = _sample(counter)
    time.sleep(_WINDOW_S)
    ticks_after, ns_after = _sample(counter)
    return round((ticks_after - ticks_before) * 1_000_000 / (ns_after - ns_before))


def _sample(counter: Callable[[], int]) -> tuple[int, int]:
    """Counter and clock at one moment: of several tries the one in which least time passed between the two."""
    tries: list[tuple[int, int, int]] = []
    for _ in range(_TRIES):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        ticks = counter()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        tries.append((after - before, ticks, (before + after) // 2))
    _, ticks, ns = min(tries)
    return ticks, ns
