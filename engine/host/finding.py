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
    """The host as a check sees it. The folders are the kernel's and the system's own, except in tests."""

    settings: Settings
    kvm: Callable[[], Awaitable[KvmVerdict]]
    machine: str
    kvm_device: Path = DEVICE
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    etc: Path = Path("/etc")
    run: Path = Path("/run")
    modules: Path = Path("/lib/modules")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw.

    ``remedy`` replaces the check's own where this case has a better one. ``by_hand`` is for a case that the setup
    step of this check can't mend.
    """

    severity: Severity
    seen: str
    remedy: str = ""
    by_hand: bool = False


Look = Callable[[Surroundings], Finding]


def ok(seen: str) -> Finding:
    return Finding(Severity.OK, seen)


def info(seen: str, remedy: str = "", *, by_hand: bool = False) -> Finding:
    return Finding(Severity.INFO, seen, remedy, by_hand)


def degraded(seen: str, remedy: str = "", *, by_hand: bool = False) -> Finding:
    return Finding(Severity.DEGRADED, seen, remedy, by_hand)


def blocked(seen: str, remedy: str = "", *, by_hand: bool = False) -> Finding:
    return Finding(Severity.BLOCKED, seen, remedy, by_hand)
