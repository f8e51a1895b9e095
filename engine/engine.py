"""Engine: the only door for console, CLI and HTTP. Opens and closes the parts, hands each call to one of them."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, aclosing
from dataclasses import asdict
from datetime import datetime
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import Literal, TypeVar

from engine import operator_settings
from engine.backend import Backend
from engine.errors import ConflictError, NotFoundError, NotReadyError
from engine.folders import config_dir
from engine.history import History, ImageUsage, SnapshotUsage
from engine.host import checks
from engine.host.metrics import HostSampler
from engine.inventory import Inventory
from engine.jobs import JobBoard, JobContext
from engine.jobs.files import JobFiles
from engine.languages.catalogue import Catalogue
from engine.lock import owned
from engine.models import (
    BatchResult,
    BuildImageRequest,
    Caller,
    Check,
    CreateSnapshotRequest,
    EngineIdentity,
    Health,
    HostMetrics,
    HostSample,
    Image,
    Job,
    JobEvent,
    JobState,
    Language,
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
from engine.rootfs.debian import build_debian_image, wanted_suite
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread, remove_abandoned
from engine.runs.admission import Admission
from engine.runs.runner import Runner
from engine.sampling.sampler import Sampler
from engine.settings import Settings
from engine.setup import service_control
from engine.setup import steps as setup_steps
from engine.setup.base import SetupContext
from engine.setup.ledger import Ledger, making
from engine.setup.undo import undo
from engine.snapshots.create import create
from engine.viewers import Viewers
from engine.vmm import serial_console
from engine.vmm.fleet import LiveVm, VmPurpose
from engine.vmm.home import reap

_log = logging.getLogger(__name__)
VERSION = version("vmdeck")
Stock = TypeVar("Stock", Image, Snapshot)
AskUsage = Callable[[History, Mapping[str, datetime]], Awaitable[Mapping[str, ImageUsage | SnapshotUsage]]]


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
        self._history: History | None = None
        self._past = PastRuns(settings, None, caller)
        self._jobs = JobBoard()
        self._ledger = Ledger(settings)
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
            self._history = await self._open_history(parts)
            self._past = PastRuns(self._settings, self._history, self._caller)
            self._jobs = JobBoard(JobFiles(self._settings.data_dir / "jobs"))
            parts.push_async_callback(self._backend.close)
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
        return await self._inventory.languages()

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
        images = await in_thread(self._inventory.list_images, self._live_vms())
        return await self._with_usage(images, History.image_usage)

    async def build_image(self, request: BuildImageRequest) -> Job:
        for language in request.languages:
            self._catalogue.recipe(language)
        await wanted_suite(self._settings, request)

        async def work(context: JobContext) -> str:
            return (await build_debian_image(self._settings, self._inventory.images, request, context)).name

        return self._jobs.start("image", f"Build image {request.name}", work, exclusive_key=f"image {request.name}")

    async def remove_image(self, name: str) -> None:
        self._refuse_while_made(f"image {name}")
        await in_thread(self._inventory.remove_image, name, self._live_vms())

    async def snapshots(self) -> Sequence[Snapshot]:
        return await self._with_usage(await self._inventory.list_snapshots(), History.snapshot_usage)

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job:
        order = await self._inventory.order(request.language, request.name, request.memory_mib, request.vcpus)

        async def work(context: JobContext) -> str:
            ready = await self._backend.ready()
            return (await create(order, ready.fleet, self._settings, context)).name

        return self._jobs.start("snapshot", f"Make snapshot {order.name}", work, exclusive_key=f"snapshot {order.name}")

    async def verify_snapshot(self, name: str) -> Verification:
        return await self._inventory.verify(name)

    async def refresh_snapshot(self, name: str) -> Job:
        await self._inventory.renewal(name)  # what can be told at once is told at once

        async def work(context: JobContext) -> str:
            order = await self._inventory.renewal(name)
            ready = await self._backend.ready()
            return (await create(order, ready.fleet, self._settings, context)).name

        return self._jobs.start("snapshot", f"Make snapshot {name} anew", work, exclusive_key=f"snapshot {name}")

    async def remove_snapshot(self, name: str) -> None:
        self._refuse_while_made(f"snapshot {name}")
        in_use = {purpose.snapshot for purpose in self._live_vms().values() if purpose.snapshot}
        await self._inventory.snapshots.remove(name, in_use)

    def _live_vms(self) -> dict[str, VmPurpose]:
        return {vm_id: purpose for fleet in self._backend.fleets for vm_id, purpose in fleet.purposes.items()}

    def _refuse_while_made(self, key: str) -> None:
        if job := self._jobs.holder(key):
            raise ConflictError(f"The job {job.title!r} makes it just now", remedy="Wait for the job, or cancel it")

    async def _with_usage(self, found: Sequence[Stock], ask: AskUsage) -> Sequence[Stock]:
        """Each with what history knows of it, not of others that had its name; without it where it can't be read."""
        if self._history is None:
            return found
        try:
            usage = await ask(self._history, {each.name: each.created for each in found})
        except NotReadyError as error:
            _log.warning("inventory without its history: %s", error)
            return found
        return [each.model_copy(update=asdict(usage[each.name])) if each.name in usage else each for each in found]

    # --- setup and jobs

    async def setup_steps(self, options: SetupOptions | None = None) -> Sequence[SetupStep]:
        return await setup_steps.plan(self._setup_context(options))

    async def apply_setup(self, steps: Sequence[str] | None = None, options: SetupOptions | None = None) -> Job:
        async def work(context: JobContext) -> None:
            try:
                await setup_steps.apply(self._setup_context(options), steps, context, begin=context.step)
            finally:
                self._backend.refresh()

        return self._jobs.start("setup", "Set this host up", work, exclusive_key="setup")

    async def setup_record(self) -> Sequence[SetupTrace]:
        return await in_thread(self._ledger.traces)

    async def undo_setup(self) -> Job:
        async def work(context: JobContext) -> None:
            if live := await self.vms():
                raise ConflictError(
                    f"VMs are live ({len(live)})", remedy="Wait for them to end, or kill them, then undo"
                )
            try:
                await undo(self._ledger, context)
            finally:
                self._backend.refresh()

        return self._jobs.start("undo", "Undo setup", work, exclusive_key="setup")

    def _setup_context(self, options: SetupOptions | None) -> SetupContext:
        ledger = self._ledger

        async def create_default(language: str, progress: Progress) -> None:
            self._backend.refresh()
            order = await self._inventory.order(language, None, None, None)
            ready = await self._backend.ready()
            folder = self._settings.snapshots_dir / order.name
            async with making(ledger, "snapshot", folder):
                await create(order, ready.fleet, self._settings, progress)

        async def why_not_ready(language: str) -> str | None:
            recipe = self._catalogue.recipe(language)
            found = [each for each in await self._inventory.list_snapshots() if each.language == recipe.id]
            if any(each.fits for each in found):
                return None
            return "; ".join(f"{each.name}: {each.problem}" for each in found) or "none here"

        return SetupContext(
            self._settings,
            self._inventory.images,
            create_default,
            why_not_ready,
            self._backend.kvm_verdict,
            options or SetupOptions(),
            ledger.record,
            ledger.forget,
            ledger.newcomers,
            ledger.traces,
        )

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
