"""Make a restored guest a new one: fresh entropy, the right time, an identity of its own."""

from __future__ import annotations

import os
import socket
import time

from guest import syscalls

MIN_ENTROPY = 32
_STEP_NS = 1_000_000  # below this a step would only add noise


def entropy(fresh: bytes) -> str:
    """Mix in the host's bytes, reseed, and return the new boot id, drawn after it. Raises OSError, ValueError."""
    if len(fresh) < MIN_ENTROPY:
        raise ValueError(f"{len(fresh)} bytes of entropy are fewer than {MIN_ENTROPY}")
    syscalls.add_entropy(fresh)
    raw = os.urandom(16).hex()
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-8{raw[17:20]}-{raw[20:]}"


def clock(time_ns: int) -> None:
    """Step the wall clock (never the monotonic one) to the host's."""
    if abs(time.time_ns() - time_ns) > _STEP_NS:
        time.clock_settime_ns(time.CLOCK_REALTIME, time_ns)


def identity(name: str) -> None:
    """Host name: the VM's id."""
    socket.sethostname(name)
