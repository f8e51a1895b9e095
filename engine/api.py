"""What an engine can do: the one interface that Engine and RemoteEngine fulfil and every front end uses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.models import (
        BatchResult,
        BuildImageRequest,
        BuildLanguageRequest,
        CreateSnapshotRequest,
        DockerImageRequest,
        EngineIdentity,
        Health,
        HostMetrics,
        HostSample,
        Image,
        Job,
        JobEvent,
        Language,
        Leftover,
        PruneRequest,
        RemoteImage,
        RemotePlace,
        RemoteSnapshot,
        RunEntry,
        RunEvent,
        RunQuery,
        RunRequest,
        RunResult,
        RunStats,
        SerialText,
        ServiceAction,
        ServiceState,
        Setting,
        SetupOptions,
        SetupStep,
        SetupTrace,
        Snapshot,
        Verification,
        Vm,
        VmDetail,
    )


class EngineApi(Protocol):
    """All calls raise VmdeckError subclasses only."""

    async def health(self, *, full: bool = False) -> Health:
        """State of the engine; with ``full`` the host's checks too (up to 3 s)."""
        ...

    async def metrics(self) -> HostMetrics: ...

    async def samples(self, *, last: int = 240) -> Sequence[HostSample]:
        """The newest ``last`` samples of the host that the engine took for all viewers, oldest first."""
        ...

    def attach(self) -> AsyncGenerator[EngineIdentity]:
        """Who answers, at once and then every few seconds. While it is followed the engine has a viewer; that it ends
        or raises tells the viewer that the engine is gone."""
        ...

    async def languages(self) -> Sequence[Language]: ...

    def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        """Run and yield events as they come, "result" last (one per batch item). Closing it ends the VM."""
        ...

    async def run(self, request: RunRequest) -> RunResult | BatchResult:
        """Run to the end; BatchResult where stdin is a list."""
        ...

    async def images(self) -> Sequence[Image]: ...

    async def build_image(self, request: BuildImageRequest) -> Job: ...

    async def build_language(self, request: BuildLanguageRequest) -> Job:
        """Build the image of a language of the catalogue, from the source that its row has."""
        ...

    async def leftovers(self, request: PruneRequest) -> Sequence[Leftover]:
        """What ``prune`` would remove now."""
        ...

    async def prune(self, request: PruneRequest) -> Sequence[Leftover]:
        """Remove older builds of images that nothing uses, and downloads; what was removed.

        Raises ConflictError while a build works with the downloads.
        """
        ...

    async def build_docker_image(self, request: DockerImageRequest) -> Job:
        """From a Docker engine or an archive that Docker's tools wrote."""
        ...

    async def remove_image(self, name: str) -> None: ...

    async def snapshots(self) -> Sequence[Snapshot]: ...

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job: ...

    async def verify_snapshot(self, name: str) -> Verification: ...

    async def refresh_snapshot(self, name: str) -> Job:
        """Make it anew with the same name, language and size; the old one serves until the new one is there."""
        ...

    async def remove_snapshot(self, name: str) -> None: ...

    # Exchange with object storage. What ``place`` leaves out is taken from the settings; InputError without a bucket.

    async def remote_images(self, place: RemotePlace | None = None) -> Sequence[RemoteImage]: ...

    async def upload_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        """``lang`` is the name of an image, or a language that one serves."""
        ...

    async def download_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        """An image of that name is replaced once the other is here whole."""
        ...

    async def remote_snapshots(self, place: RemotePlace | None = None) -> Sequence[RemoteSnapshot]: ...

    async def upload_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        """With its image, unless the bucket has it."""
        ...

    async def download_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        """With its image, where none of that name is here; another one is never replaced."""
        ...

    async def vms(self) -> Sequence[Vm]: ...

    async def vm(self, vm_id: str) -> VmDetail:
        """Raises NotFoundError once it is gone."""
        ...

    def vm_serial(self, vm_id: str, *, after: int = 0) -> AsyncGenerator[SerialText]:
        """What the guest's serial console says after byte ``after``, then what comes, until the VM ends."""
        ...

    async def kill_vm(self, vm_id: str) -> None: ...

    async def runs(self, query: RunQuery | None = None) -> Sequence[RunEntry]:
        """Runs that have ended, the newest first."""
        ...

    async def run_stats(self, *, window_s: float = 3600) -> RunStats: ...

    async def run_request(self, trace_id: str) -> RunRequest:
        """What a past run was asked to do. Raises NotFoundError where it is not kept, saying why."""
        ...

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

    async def retry_job(self, job_id: str) -> Job:
        """Start what a job did once more, as a new job. Raises ConflictError while it runs or can't be repeated."""
        ...

    async def settings(self) -> Sequence[Setting]: ...

    async def set_setting(self, name: str, value: str | None) -> Setting:
        """Write it into config.toml, or take it out; in force when the engine opens next. Raises InputError."""
        ...

    async def api_token(self) -> str:
        """The token itself, empty where there is none. Only an operator is told."""
        ...

    async def service(self) -> ServiceState: ...

    async def control_service(self, action: ServiceAction) -> ServiceState:
        """Raises NotReadyError where systemd does not run or refuses."""
        ...
