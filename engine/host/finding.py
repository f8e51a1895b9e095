"""What one check of the host looks at, and what it comes back with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from engine.host.kvm import DEVICE, KvmVerdict
from engine.models import Severity
from engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The host as a check sees it. The folders are the kernel's own, except in tests."""

    settings: Settings
    kvm: Callable[[], Awaitable[KvmVerdict]]
    machine: str
    kvm_device: Path = DEVICE
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw. ``remedy`` replaces the check's own where this case has a better one."""

    severity: Severity
    seen: str
    remedy: str = ""


Look = Callable[[Surroundings], Finding]


def ok(seen: str) -> Finding:
    return Finding(Severity.OK, seen)


def info(seen: str, remedy: str = "") -> Finding:
    return Finding(Severity.INFO, seen, remedy)


def degraded(seen: str, remedy: str = "") -> Finding:
    return Finding(Severity.DEGRADED, seen, remedy)


def blocked(seen: str, remedy: str = "") -> Finding:
    return Finding(Severity.BLOCKED, seen, remedy)
