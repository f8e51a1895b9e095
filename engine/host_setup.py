"""First-time setup of this host, as the engine offers it: its steps as they stand, applied and undone as jobs."""

from __future__ import annotations

from collections.abc import Sequence

from engine.backend import Backend
from engine.errors import ConflictError
from engine.inventory import Inventory
from engine.jobs import JobBoard, JobContext
from engine.languages.catalogue import Catalogue
from engine.models import Job, SetupOptions, SetupStep, SetupTrace
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread
from engine.settings import Settings
from engine.setup import steps as setup_steps
from engine.setup.base import SetupContext
from engine.setup.ledger import Ledger, making
from engine.setup.undo import undo
from engine.snapshots.create import create


class HostSetup:
    def __init__(
        self, settings: Settings, catalogue: Catalogue, backend: Backend, inventory: Inventory, jobs: JobBoard
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._backend = backend
        self._inventory = inventory
        self._jobs = jobs
        self._ledger = Ledger(settings)

    async def steps(self, options: SetupOptions | None) -> Sequence[SetupStep]:
        return await setup_steps.plan(self._context(options))

    def apply(self, steps: Sequence[str] | None, options: SetupOptions | None) -> Job:
        async def work(context: JobContext) -> None:
            try:
                await setup_steps.apply(self._context(options), steps, context, begin=context.step)
            finally:
                self._backend.refresh()

        return self._jobs.start("setup", "Set this host up", work, exclusive_key="setup")

    async def record(self) -> Sequence[SetupTrace]:
        return await in_thread(self._ledger.traces)

    def undo(self) -> Job:
        async def work(context: JobContext) -> None:
            if live := sum(len(fleet.live) for fleet in self._backend.fleets):
                raise ConflictError(f"VMs are live ({live})", remedy="Wait for them to end, or kill them, then undo")
            try:
                await undo(self._ledger, context)
            finally:
                self._backend.refresh()

        return self._jobs.start("undo", "Undo setup", work, exclusive_key="setup")

    def _context(self, options: SetupOptions | None) -> SetupContext:
        ledger = self._ledger
        return SetupContext(
            self._settings,
            self._inventory.images,
            self._create_default,
            self._why_not_ready,
            self._backend.kvm_verdict,
            options or SetupOptions(),
            ledger.record,
            ledger.forget,
            ledger.newcomers,
            ledger.traces,
        )

    async def _create_default(self, language: str, progress: Progress) -> None:
        self._backend.refresh()
        order = await self._inventory.order(language, None, None, None)
        ready = await self._backend.ready()
        async with making(self._ledger, "snapshot", self._settings.snapshots_dir / order.name):
            await create(order, ready.fleet, self._settings, progress)

    async def _why_not_ready(self, language: str) -> str | None:
        recipe = self._catalogue.recipe(language)
        found = [each for each in await self._inventory.list_snapshots() if each.language == recipe.id]
        if any(each.fits and not each.outdated for each in found):
            return None
        reasons = (f"{each.name}: {each.problem or 'its image was built anew'}" for each in found)
        return "; ".join(reasons) or "none here"
