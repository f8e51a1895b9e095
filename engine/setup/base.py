"""What a step of first-time setup is, and what steps get to work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from engine.rootfs.progress import Progress
from engine.rootfs.store import ImageStore
from engine.settings import Settings


@dataclass(frozen=True, slots=True)
class SetupContext:
    """What steps need of the engine. Snapshots are the engine's own work, so they come as two calls.

    ``create_snapshot`` makes the default snapshot of a language; ``snapshot_ready`` gives None where one that fits
    this host is there, and else why not, as a sentence for the operator.
    """

    settings: Settings
    images: ImageStore
    create_snapshot: Callable[[str], Awaitable[None]]
    snapshot_ready: Callable[[str], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A step as looked at: whether nothing is left to do, what was seen, what applying would do."""

    done: bool
    seen: str
    would: tuple[str, ...] = ()


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
