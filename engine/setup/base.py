"""What a step of first-time setup is, and what steps get to work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from engine.host.kvm import KvmVerdict
from engine.models import SetupOptions, SetupTrace
from engine.rootfs.progress import Progress
from engine.rootfs.store import ImageStore
from engine.settings import Settings


def _unrecorded(trace: SetupTrace) -> None:
    """For steps that are only looked at."""


@dataclass(frozen=True, slots=True)
class SetupContext:
    """What steps need of the engine. Snapshots are the engine's own work, so they come as two calls.

    ``create_snapshot`` makes the default snapshot of a language; ``snapshot_ready`` gives None where one that fits
    this host is there, and else why not, as a sentence for the operator. ``kvm`` is the verdict on this host's KVM.
    A step hands what it is about to make on the host to ``record`` first, so that undo finds it whatever happens.
    """

    settings: Settings
    images: ImageStore
    create_snapshot: Callable[[str], Awaitable[None]]
    snapshot_ready: Callable[[str], Awaitable[str | None]]
    kvm: Callable[[], Awaitable[KvmVerdict]]
    options: SetupOptions = field(default_factory=SetupOptions)
    record: Callable[[SetupTrace], None] = _unrecorded


@dataclass(frozen=True, slots=True)
class Finding:
    """A step as looked at: whether nothing is left to do, what was seen, what applying would do."""

    done: bool
    seen: str
    would: tuple[str, ...] = ()
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``check`` changes nothing and takes well under a second; ``apply`` may be called again after a failure.

    ``apply`` raises VmdeckError with the remedy.
    """

    id: str
    title: str
    why: str
    check: Callable[[SetupContext], Awaitable[Finding]]
    apply: Callable[[SetupContext, Progress], Awaitable[None]]
    needs: tuple[str, ...] = ()
    touches_system: bool = False
