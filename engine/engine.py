"""Engine: the only door for console, CLI and HTTP. Opens and closes the parts, hands each call to one of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from importlib.metadata import version
from types import TracebackType
from typing import Literal

from engine.backend import Backend
from engine.errors import ConflictError, NotFoundError, NotReadyError, VmdeckError
from engine.history import History
from engine.host import checks
from engine.host.metrics import HostSampler
from engine.inventory import Inventory
from engine.jobs import JobBoard, JobContext
from engine.languages.catalogue import Catalogue
from engine.lock import EngineLock
from engine.models import (
    BatchResult,
    BuildImageRequest,
    Caller,
    Check,
    CreateSnapshotRequest,
    Health,
    HostMetrics,
    Image,
    Job,
    JobEvent,
    Language,
    RunEntry,
    RunEvent,
    RunRequest,
    RunResult,
    SetupOptions,
    SetupStep,
    SetupTrace,
    Snapshot,
    Verification,
    Vm,
    VmmChoice,
)
from engine.rootfs.debian import build_debian_image, wanted_suite
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread, remove_abandoned
from engine.runs.admission import Admission
from engine.runs.runner import Runner
from engine.settings import Settings, config_dir
from engine.setup import steps as setup_steps
from engine.setup.base import SetupContext
from engine.setup.ledger import Ledger, making
from engine.setup.undo import undo
from engine.snapshots.create import create
from engine.vmm.home import reap

_log = logging.getLogger(__name__)
VERSION = version("vmdeck")


class Engine:
    """Fulfils EngineApi. Opening takes the data folder's lock and reaps what a killed predecessor left."""

    def __init__(self, settings: Settings, *, caller: Caller = "library", only_looks: bool = False) -> None:
        """One that ``only_looks`` takes no lock and makes nothing on the host; it is for questions alone."""
        self._only_looks = only_looks
        self._settings = settings
        self._caller: Caller = caller
        self._catalogue = Catalogue.load(config_dir() / "languages.toml")
        self._backend = Backend(settings)
        self._inventory = Inventory(settings, self._catalogue, self._backend)
        self._admission = Admission(settings.max_running, settings.max_queued)
        self._sampler = HostSampler(settings.data_dir)
        self._history: History | None = None
        self._jobs = JobBoard()
        self._ledger = Ledger(settings)
        self._opened = time.monotonic()
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Engine:
        """Raises ConflictError where another engine owns the data folder, NotReadyError where it can't be used."""
        if self._only_looks:
            return self
        async with AsyncExitStack() as parts:
            lock = EngineLock(self._settings.lock_path)
            lock.acquire()
            parts.callback(lock.release)
            for vm_id in await reap(self._settings.vms_dir):
                _log.warning("reaped a VM that a killed engine left", extra={"vm": vm_id})
            stores = (self._settings.kernels_dir, self._settings.guest_dir)
            for store in (*stores, self._settings.images_dir, self._settings.snapshots_dir):
                await in_thread(remove_abandoned, store)
            self._history = await self._open_history(parts)
            self._jobs = JobBoard(on_end=self._history.record_job if self._history else None)
            parts.push_async_callback(self._backend.close)
            parts.push_async_callback(self._jobs.close)
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
        return self._sampler.sample()

    async def vms(self) -> Sequence[Vm]:
        return [vm for fleet in self._backend.fleets for vm in await fleet.sample()]

    async def kill_vm(self, vm_id: str) -> None:
        for fleet in self._backend.fleets:
            if await fleet.kill(vm_id):
                return
        raise NotFoundError(f"No live VM has the id {vm_id[:64]!r}", remedy="List them: vmdeck vms")

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
        return Runner(self._settings, ready.fleet, self._admission, ready.choice, planner, self._record_run)

    async def _record_run(
        self, request: RunRequest, trace_id: str, item: int, outcome: RunResult | VmdeckError
    ) -> None:
        if self._history is None:
            return
        if isinstance(outcome, RunResult):
            entry = RunEntry.of(request, outcome, caller=self._caller, item=item)
        else:
            entry = RunEntry.failed(request, trace_id, outcome.kind, caller=self._caller, item=item)
        await self._history.record_run(entry)

    # --- images and snapshots

    async def images(self) -> Sequence[Image]:
        return self._inventory.images.list()

    async def build_image(self, request: BuildImageRequest) -> Job:
        for language in request.languages:
            self._catalogue.recipe(language)
        await wanted_suite(self._settings, request)

        async def work(context: JobContext) -> str:
            return (await build_debian_image(self._settings, self._inventory.images, request, context)).name

        return self._jobs.start("image", f"Build image {request.name}", work, exclusive_key=f"image {request.name}")

    async def remove_image(self, name: str) -> None:
        live = {vm.image for vm in await self.vms()}

        def user_of(digest: str) -> str | None:
            if name in live:
                return "a live VM"
            for snapshot in self._inventory.snapshots.all():
                if snapshot.manifest is not None and snapshot.manifest.image_digest == digest:
                    return f"snapshot {snapshot.name}"
            return None

        self._inventory.images.remove(name, user_of)

    async def snapshots(self) -> Sequence[Snapshot]:
        return await self._inventory.list_snapshots()

    async def create_snapshot(self, request: CreateSnapshotRequest) -> Job:
        order = await self._inventory.order(request.language, request.name, request.memory_mib, request.vcpus)

        async def work(context: JobContext) -> str:
            ready = await self._backend.ready()
            return (await create(order, ready.fleet, self._settings, context)).name

        return self._jobs.start("snapshot", f"Make snapshot {order.name}", work, exclusive_key=f"snapshot {order.name}")

    async def verify_snapshot(self, name: str) -> Verification:
        return await self._inventory.verify(name)

    async def remove_snapshot(self, name: str) -> None:
        in_use = {vm.snapshot for vm in await self.vms() if vm.snapshot}
        await self._inventory.snapshots.remove(name, in_use)

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


async def _unasked() -> None:
    """The checks of a look that did not ask for them."""
