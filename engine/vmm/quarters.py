"""Where a VMM process lives: its working folder, how files come into it, and how it is started there.

A VMM names files relative to its folder only, so what it writes into a snapshot holds no path of this host, and a
snapshot made in one kind of quarters loads in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

WITHOUT_CORE = ("sh", "-c", 'ulimit -c 0 && exec "$@"', "sh")
"""Before a command: a VMM that crashes leaves no memory of its guest in a file. From within, since it can't be set from
without once a jailer has changed the user."""


class Placement(StrEnum):
    """How a file came into quarters, cheapest first."""

    SYMLINK = "symbolic link"
    LINK = "hard link"
    REFLINK = "reflink"
    COPY = "copy"


class Quarters(Protocol):
    @property
    def folder(self) -> Path:
        """What the process sees as its working folder."""
        ...

    @property
    def traces(self) -> Traces: ...

    def prepare(self) -> None:
        """Make the folder, as far as it is not there. Raises OSError, NotReadyError."""
        ...

    def place(self, source: Path, name: str, *, writable: bool = False) -> Placement:
        """Have ``source`` appear in the folder as ``name``. Raises OSError, NotReadyError."""
        ...

    def own(self, name: str) -> None:
        """Make a file of the folder the process' own. Raises OSError."""
        ...

    def command(self, arguments: Sequence[str]) -> list[str]:
        """To start the VMM here with ``arguments``."""
        ...

    def leave(self) -> None:
        """The process has ended, and its traces are gone. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Traces:
    """What quarters leave outside the VM's home, to be removed with it: whole folders, and control groups."""

    folders: tuple[Path, ...] = ()
    cgroups: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenQuarters:
    """No jail: the VM's home is the folder, and the process is the engine's user's."""

    binary: Path
    vm_id: str
    folder: Path
    traces: Traces = Traces()

    def prepare(self) -> None:
        """The home is there."""

    def place(self, source: Path, name: str, *, writable: bool = False) -> Placement:
        (self.folder / name).symlink_to(source.absolute())
        return Placement.SYMLINK

    def own(self, name: str) -> None:
        """It is already."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [*WITHOUT_CORE, str(self.binary), "--id", self.vm_id, *arguments]

    def leave(self) -> None:
        """Nothing was taken."""
