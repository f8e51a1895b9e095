"""First-time setup: its steps, what the operator wants of it, what it made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from engine.models.value import Value


class SetupStep(Value):
    """One step of first-time setup, as looked at now."""

    id: str
    title: str
    why: str
    done: bool
    seen: str
    needs: tuple[str, ...] = ()
    touches_system: bool = False
    would: tuple[str, ...] = Field(default=(), description="what apply would do, as commands or sentences")
    skipped: bool = Field(default=False, description="the operator, or what this host is, asks to leave it out")

    @property
    def settled(self) -> bool:
        """Whether setup has nothing to do here."""
        return self.done or self.skipped


class SetupOptions(Value):
    """What the operator wants of setup beyond its defaults. Files and folders are those of the engine's host."""

    skip: tuple[Literal["docker", "firecracker", "kernel", "service"], ...] = ()
    vmm: Literal["auto", "firecracker", "qemu"] = "auto"
    firecracker: str | None = Field(
        default=None, max_length=4096, description='a release, as "1.16.1", or the file of a release archive'
    )
    kernel: str | None = Field(
        default=None, max_length=4096, description='"debian", a kernel file, or https://...#sha256=<its digest>'
    )
    mirror: str | None = Field(
        default=None, max_length=4096, description="https URL that serves what the release sites serve"
    )
    offline: str | None = Field(
        default=None,
        max_length=4096,
        description="folder with what is not apt's: Firecracker's archive, a kernel by URL",
    )


TraceKind = Literal["file", "folder", "package", "group-member", "module", "service", "setting", "token"]


class SetupTrace(Value):
    """One thing that setup made on this host, as recorded; undo removes these, last first."""

    step: str
    kind: TraceKind
    what: str = Field(description="path, package, user:group, module, unit, setting, or file of the token")
    sha256: str | None = Field(
        default=None, description="of a file, or of an artefact's manifest, as it was written: a changed one is left"
    )
    before: str | None = Field(default=None, description="what stood in its place, for undo to put back")
    at: datetime
