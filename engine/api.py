"""What an engine can do: the one interface that Engine and RemoteEngine fulfil and every front end uses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from engine.models import (
    BatchResult,
    BuildImageRequest,
    CreateSnapshotRequest,
    Health,
    HostMetrics,
    Image,
    Job,
    JobEvent,
    Language,
    RunEvent,
    RunRequest,
    RunResult,
    SetupOptions,
    SetupStep,
    SetupTrace,
    Snapshot,
    Verification,
    Vm,
)


class EngineApi(Protocol):
    """All calls raise VmdeckError subclasses only."""

    async def health(self, *, full: bool = False) -> Health:
        """State of the engine; with ``full`` the host's checks too (up to 3 s)."""
        ...

    async def metrics(self) -> HostMetrics: ...

    async def languages(self) -> Sequence[Language]: ...

    def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        """Run and yield events as they come, "result" last (one per batch item). Closing it ends the VM."""
        ...

    async def run(self, request: RunRequest) -> RunResult | BatchResult:
        """Run to the end; BatchResult where stdin is a list."""
        ...

    async def images(self) -> Sequence[Image]: ...

    async def build_image(self, request: BuildImageRequest) -> Job: ...

    async def remove_image(self, name: str) -> None: ...

    async def snapshots(self) -> Sequence[Snapshot]: ...

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job: ...

    async def verify_snapshot(self, name: str) -> Verification: ...

    async def remove_snapshot(self, name: str) -> None: ...

    async def vms(self) -> Sequence[Vm]: ...

    async def kill_vm(self, vm_id: str) -> None: ...

    async def setup_steps(self, options: SetupOptions | None = None) -> Sequence[SetupStep]:
        """Every step as it stands, and what applying it with ``options`` would do."""
        ...

    async def apply_setup(self, steps: Sequence[str] | None = None, options: SetupOptions | None = None) -> Job:
        """Apply all steps that are not done, or the named ones with what they need."""
        ...

    async def setup_record(self) -> Sequence[SetupTrace]:
        """What setup made on this host and undo would remove, oldest first."""
        ...

    async def undo_setup(self) -> Job:
        """Remove what setup made, last first; what was changed since is left, and named in the job's log."""
        ...

    async def jobs(self) -> Sequence[Job]: ...

    def job_events(self, job_id: str, *, after: int = 0) -> AsyncGenerator[JobEvent]:
        """Events after sequence number ``after``, then new ones until the job ends."""
        ...

    async def cancel_job(self, job_id: str) -> Job: ...
