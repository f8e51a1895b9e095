"""Engine: the only door for console, CLI and HTTP. Opens and closes the parts, hands each call to one of them."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, aclosing
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import Literal

from engine import operator_settings
from engine.backend import Backend
from engine.errors import NotFoundError, NotReadyError
from engine.exchange import Exchange
from engine.folders import config_dir
from engine.history import History
from engine.host import checks
from engine.host.metrics import HostSampler
from engine.host_setup import HostSetup
from engine.inventory import Inventory
from engine.jobs import JobBoard
from engine.jobs.files import JobFiles
from engine.languages.catalogue import Catalogue
from engine.lock import owned
from engine.models import (
    BatchResult,
    BuildImageRequest,
    BuildLanguageRequest,
    Caller,
    Check,
    CreateSnapshotRequest,
    DockerImageRequest,
    EngineIdentity,
    Health,
    HostMetrics,
    HostSample,
    Image,
    Job,
    JobEvent,
    JobState,
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
    Serves,
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
    VmmChoice,
)
from engine.past import PastRuns
from engine.rootfs.staging import in_thread, remove_abandoned
from engine.runs.admission import Admission
from engine.runs.runner import Runner
from engine.sampling.sampler import Sampler
from engine.settings import Settings
from engine.setup import service_control
from engine.stock import Stock
from engine.viewers import Viewers
from engine.vmm import serial_console
from engine.vmm.fleet import LiveVm
from engine.vmm.home import reap

_log = logging.getLogger(__name__)
VERSION = version("vmdeck")


class Engine:
    """Fulfils EngineApi. Opening takes the folders' locks and reaps what a killed predecessor left."""

    def __init__(
        self,
        settings: Settings,
        *,
        caller: Caller = "library",
        only_looks: bool = False,
        serves: Serves = "command",
    ) -> None:
        """One that ``only_looks`` takes no lock and makes nothing on the host; it is for questions alone."""
        self._only_looks = only_looks
        self._settings = settings
        self._caller: Caller = caller
        self._catalogue = Catalogue.load(config_dir() / "languages.toml")
        self._backend = Backend(settings)
        self._inventory = Inventory(settings, self._catalogue, self._backend)
        self._admission = Admission(settings.max_running, settings.max_queued)
        self._sampler = Sampler(HostSampler(settings.data_dir), lambda: self._backend.fleets, self._admission)
        self._serve(JobBoard(), None)
        self._addresses: tuple[str, ...] = ()
        self._opened = time.monotonic()
        self._viewers = Viewers(_identity(settings, serves))
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Engine:
        """Raises ConflictError where another engine owns one of the folders, NotReadyError where they can't be used."""
        if self._only_looks:
            return self
        async with AsyncExitStack() as parts:
            parts.enter_context(owned(self._settings))
            for vm_id in await reap(self._settings.vms_dir):
                _log.warning("reaped a VM that a killed engine left", extra={"vm": vm_id})
            stores = (self._settings.kernels_dir, self._settings.guest_dir)
            for store in (*stores, self._settings.images_dir, self._settings.snapshots_dir):
                await in_thread(remove_abandoned, store)
            self._serve(JobBoard(JobFiles(self._settings.data_dir / "jobs")), await self._open_history(parts))
            parts.push_async_callback(self._backend.close)
            parts.push_async_callback(self._exchange.close)
            parts.push_async_callback(self._jobs.close)
            await parts.enter_async_context(self._sampler)
            await self._jobs.open()
            parts.callback(self._viewers.close)
            self._parts = parts.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._parts.aclose()

    def _serve(self, jobs: JobBoard, history: History | None) -> None:
        """The parts that keep something, on this board and with this history."""
        made_of = (self._settings, self._catalogue, self._backend, self._inventory, jobs)
        self._jobs = jobs
        self._past = PastRuns(self._settings, history, self._caller)
        self._stock = Stock(*made_of, history)
        self._host_setup = HostSetup(*made_of)
        self._exchange = Exchange(*made_of)

    async def _open_history(self, parts: AsyncExitStack) -> History | None:
        """Runs go on without a history: a damaged file must not stop them."""
        try:
            self._settings.data_dir.mkdir(parents=True, exist_ok=True)
            return await parts.enter_async_context(History(self._settings.data_dir / "history.db"))
        except (NotReadyError, OSError) as error:
            _log.warning("no history is kept: %s", error)
            return None

    # --- viewers

    def attach(self) -> AsyncGenerator[EngineIdentity]:
        return self._viewers.follow()

    def need(self) -> AbstractContextManager[None]:
        """For whoever serves this engine: a call is being answered while the block runs."""
        return self._viewers.need()

    async def until_needless(self, grace_s: float) -> None:
        """Return once there was no viewer, call, run or job for ``grace_s`` seconds on end."""
        await self._viewers.until_needless(self._busy, grace_s)

    def _busy(self) -> bool:
        at_work = any(job.state is JobState.RUNNING for job in self._jobs.jobs())
        return at_work or bool(self._admission.running or self._admission.queued)

    # --- state

    async def health(self, *, full: bool = False) -> Health:
        (choice, status), found = await asyncio.gather(self._verdict(), self._checks() if full else _unasked())
        return Health(
            status=status if status == "blocked" or found is None else checks.verdict(found),
            version=VERSION,
            uptime_s=round(time.monotonic() - self._opened, 3),
            vmm=choice,
            running=self._admission.running,
            queued=self._admission.queued,
            capacity=self._admission.capacity,
            checks=found,
        )

    async def _verdict(self) -> tuple[VmmChoice, Literal["ok", "blocked"]]:
        """What runs use, if there is anything they can use."""
        try:
            return (await self._backend.ready()).choice, "ok"
        except NotReadyError as error:
            return VmmChoice(vmm="none", accelerator="none", version=None, reason=error.message), "blocked"

    async def _checks(self) -> tuple[Check, ...]:
        return tuple(await checks.run_checks(self._settings, kvm=self._backend.kvm_verdict))

    async def metrics(self) -> HostMetrics:
        return await self._sampler.metrics()

    async def samples(self, *, last: int = 240) -> Sequence[HostSample]:
        return await self._sampler.samples(last)

    async def vms(self) -> Sequence[Vm]:
        return await self._sampler.vms()

    async def vm(self, vm_id: str) -> VmDetail:
        return await self._sampler.detail(self._live(vm_id))

    async def vm_serial(self, vm_id: str, *, after: int = 0) -> AsyncGenerator[SerialText]:
        async with aclosing(serial_console.follow(self._live(vm_id).vm.serial, after)) as pieces:
            async for piece in pieces:
                yield piece

    def _live(self, vm_id: str) -> LiveVm:
        for fleet in self._backend.fleets:
            for live in fleet.live:
                if live.id == vm_id:
                    return live
        raise _no_vm(vm_id)

    async def kill_vm(self, vm_id: str) -> None:
        for fleet in self._backend.fleets:
            if await fleet.kill(vm_id):
                return
        raise _no_vm(vm_id)

    # --- runs

    async def languages(self) -> Sequence[Language]:
        return await self._stock.languages()

    async def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        runner = await self._runner()
        async with aclosing(runner.stream(request)) as events:
            async for event in events:
                yield event

    async def run(self, request: RunRequest) -> RunResult | BatchResult:
        return await (await self._runner()).run(request)

    async def _runner(self) -> Runner:
        ready = await self._backend.ready()
        planner = partial(self._inventory.plan, ready)
        return Runner(self._settings, ready.fleet, self._admission, ready.choice, planner, self._past.record)

    async def runs(self, query: RunQuery | None = None) -> Sequence[RunEntry]:
        return await self._past.runs(query)

    async def run_stats(self, *, window_s: float = 3600) -> RunStats:
        return await self._past.stats(window_s)

    async def run_request(self, trace_id: str) -> RunRequest:
        return await self._past.request(trace_id)

    # --- images and snapshots

    async def images(self) -> Sequence[Image]:
        return await self._stock.images()

    async def build_image(self, request: BuildImageRequest) -> Job:
        return await self._stock.build_image(request)

    async def build_language(self, request: BuildLanguageRequest) -> Job:
        return await self._stock.build_language(request)

    async def leftovers(self, request: PruneRequest) -> Sequence[Leftover]:
        return await self._stock.leftovers(request)

    async def prune(self, request: PruneRequest) -> Sequence[Leftover]:
        return await self._stock.prune(request)

    async def build_docker_image(self, request: DockerImageRequest) -> Job:
        return await self._stock.build_docker_image(request)

    async def remove_image(self, name: str) -> None:
        await self._stock.remove_image(name)

    async def snapshots(self) -> Sequence[Snapshot]:
        return await self._stock.snapshots()

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job:
        return await self._stock.create_snapshot(request)

    async def verify_snapshot(self, name: str) -> Verification:
        return await self._inventory.verify(name)

    async def refresh_snapshot(self, name: str) -> Job:
        return await self._stock.refresh_snapshot(name)

    async def remove_snapshot(self, name: str) -> None:
        await self._stock.remove_snapshot(name)

    # --- object storage

    async def remote_images(self, place: RemotePlace | None = None) -> Sequence[RemoteImage]:
        return await self._exchange.remote_images(place)

    async def upload_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        return await self._exchange.upload_image(lang, place)

    async def download_image(self, lang: str, place: RemotePlace | None = None) -> Job:
        return await self._exchange.download_image(lang, place)

    async def remote_snapshots(self, place: RemotePlace | None = None) -> Sequence[RemoteSnapshot]:
        return await self._exchange.remote_snapshots(place)

    async def upload_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        return await self._exchange.upload_snapshot(name, place)

    async def download_snapshot(self, name: str, place: RemotePlace | None = None) -> Job:
        return await self._exchange.download_snapshot(name, place)

    # --- setup and jobs

    async def setup_steps(self, options: SetupOptions | None = None) -> Sequence[SetupStep]:
        return await self._host_setup.steps(options)

    async def apply_setup(self, steps: Sequence[str] | None = None, options: SetupOptions | None = None) -> Job:
        return self._host_setup.apply(steps, options)

    async def setup_record(self) -> Sequence[SetupTrace]:
        return await self._host_setup.record()

    async def undo_setup(self) -> Job:
        return self._host_setup.undo()

    async def jobs(self) -> Sequence[Job]:
        return self._jobs.jobs()

    def job_events(self, job_id: str, *, after: int = 0) -> AsyncGenerator[JobEvent]:
        return self._jobs.events(job_id, after=after)

    async def cancel_job(self, job_id: str) -> Job:
        return await self._jobs.cancel(job_id)

    async def retry_job(self, job_id: str) -> Job:
        return self._jobs.retry(job_id)

    # --- settings and service

    async def settings(self) -> Sequence[Setting]:
        return await in_thread(operator_settings.listed, self._settings)

    async def set_setting(self, name: str, value: str | None) -> Setting:
        return await in_thread(operator_settings.changed, self._settings, name, value)

    async def api_token(self) -> str:
        return self._settings.api_token

    def listens_at(self, *addresses: str) -> None:
        """For whoever serves this engine: say where, for those who ask."""
        self._addresses = addresses

    async def service(self) -> ServiceState:
        return await service_control.look(self._settings, self._addresses)

    async def control_service(self, action: ServiceAction) -> ServiceState:
        await service_control.control(action)
        return await self.service()


def _no_vm(vm_id: str) -> NotFoundError:
    return NotFoundError(f"No live VM has the id {vm_id[:64]!r}", remedy="List them: vmdeck vms")


def _identity(settings: Settings, serves: Serves) -> EngineIdentity:
    return EngineIdentity(
        id=secrets.token_hex(8),
        version=VERSION,
        pid=os.getpid(),
        host=socket.gethostname(),
        data_dir=str(settings.data_dir),
        serves=serves,
    )


async def _unasked() -> None:
    """The checks of a look that did not ask for them."""
