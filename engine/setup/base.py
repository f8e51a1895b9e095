"""What a step of first-time setup is, and what steps get to work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from engine.host.kvm import KvmVerdict
from engine.models import SetupOptions, SetupTrace, TraceKind
from engine.rootfs.progress import Progress
from engine.rootfs.store import ImageStore
from engine.settings import Settings

Record = Callable[[SetupTrace], None]
PACKAGED_KERNEL = "debian"  # the option's word for the kernel of this host's distribution


def made(
    step: str, kind: TraceKind, what: str | Path, *, sha256: str | None = None, before: str | None = None
) -> SetupTrace:
    """The note of one thing that ``step`` is about to make, or has made."""
    return SetupTrace(step=step, kind=kind, what=str(what), sha256=sha256, before=before, at=datetime.now(UTC))


def _unrecorded(*traces: SetupTrace) -> None:
    """For steps that are only looked at."""


def _unwatched(step: str, store: Path) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class SetupContext:
    """What steps need of the engine. Snapshots are the engine's own work, so they come as two calls.

    ``create_snapshot`` makes the default snapshot of a language; ``snapshot_ready`` gives None where one that fits
    this host is there, and else why not, as a sentence for the operator. ``kvm`` is the verdict on this host's KVM.
    A step hands what it is about to make on the host to ``record`` first, so that undo finds it whatever happens;
    ``forget`` takes back what then was not made.
    Inside ``newcomers(step, store)`` whatever appears in the folder ``store`` is recorded as made by the step.
    """

    settings: Settings
    images: ImageStore
    create_snapshot: Callable[[str, Progress], Awaitable[None]]
    snapshot_ready: Callable[[str], Awaitable[str | None]]
    kvm: Callable[[], Awaitable[KvmVerdict]]
    options: SetupOptions = field(default_factory=SetupOptions)
    record: Record = _unrecorded
    forget: Callable[..., None] = _unrecorded
    newcomers: Callable[[str, Path], AbstractContextManager[None]] = _unwatched


@dataclass(frozen=True, slots=True)
class Finding:
    """A step as looked at: whether nothing is left to do, what was seen, what applying would do.

    A ``skipped`` one is not done and need not be, for the reason in ``seen``; it holds nothing up.
    """

    done: bool
    seen: str
    would: tuple[str, ...] = ()
    skipped: bool = False

    @property
    def settled(self) -> bool:
        return self.done or self.skipped


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``check`` changes nothing and takes well under a second; ``apply`` may be called again after a failure.

    ``apply`` raises VmdeckError with the remedy. After it ``verify`` says whether the work has taken effect; without
    one, ``check`` is asked again. ``store`` names a folder in which nobody but this step makes anything.
    """

    id: str
    title: str
    why: str
    check: Callable[[SetupContext], Awaitable[Finding]]
    apply: Callable[[SetupContext, Progress], Awaitable[None]]
    needs: tuple[str, ...] = ()
    touches_system: bool = False
    verify: Callable[[SetupContext], Awaitable[Finding]] | None = None
    store: Callable[[Settings], Path] | None = None
