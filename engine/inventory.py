"""What this host has to run code from: languages, images and snapshots, and which of them serve a request."""

from __future__ import annotations

from pathlib import Path

from engine.backend import Backend, Ready
from engine.errors import InputError, NotFoundError, NotReadyError, SnapshotMismatchError
from engine.languages.catalogue import Catalogue, Recipe
from engine.models import Image, Language, RunRequest, Snapshot, Verification
from engine.rootfs.store import ImageStore
from engine.runs.lease import Start
from engine.runs.plan import Plan, base_environment, make_plan
from engine.settings import Settings
from engine.snapshots.create import SnapshotOrder, prove
from engine.snapshots.manifest import HostFacts, SnapshotManifest
from engine.snapshots.store import SnapshotStore, StoredSnapshot
from engine.vmm.base import MachineState, VmSpec


class Inventory:
    """Reads the stores; changes nothing in them."""

    def __init__(self, settings: Settings, catalogue: Catalogue, backend: Backend) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._backend = backend
        self.images = ImageStore(settings)
        self.snapshots = SnapshotStore(settings)

    def image_for(self, recipe: Recipe) -> Image:
        """The image that serves a language. Raises NotReadyError where none does."""
        serving = [image for image in self.images.list() if recipe.id in (image.name, *image.languages)]
        for image in sorted(serving, key=lambda image: (image.problem is not None, image.name != recipe.id)):
            if image.problem is None:
                return image
            raise NotReadyError(f"The image {image.name} can't be used: {image.problem}", remedy=_build(recipe))
        raise NotReadyError(f"No image here runs {recipe.title}", remedy=_build(recipe))

    async def languages(self) -> list[Language]:
        warm = {snapshot.language for snapshot in await self.list_snapshots() if snapshot.fits}
        return [self._language(recipe, warm) for recipe in self._catalogue]

    async def list_snapshots(self) -> list[Snapshot]:
        facts = await self._facts()
        stored = self.snapshots.all()
        return [self.snapshots.describe(snapshot, self.problem(snapshot, facts)) for snapshot in stored]

    def problem(self, snapshot: StoredSnapshot, facts: HostFacts | None) -> str | None:
        """Why a snapshot can't be restored here, None where it can."""
        digest = None
        if snapshot.manifest is not None:
            try:
                digest = self.images.check(snapshot.manifest.image).digest
            except NotFoundError:
                digest = None
        return self.snapshots.problem(snapshot, facts, digest)

    async def plan(self, ready: Ready, request: RunRequest, stdin: str | None) -> tuple[Plan, Start]:
        """What to run, and where from, on the VMM of ``ready``. Raises InputError, NotReadyError."""
        recipe = self._catalogue.recipe(request.language)
        image = self.image_for(recipe)
        plan = make_plan(request, recipe, image, self._settings, stdin)
        return plan, await self._start(request, plan, ready)

    async def order(self, language: str, name: str | None, memory_mib: int | None, vcpus: int | None) -> SnapshotOrder:
        """All that a new snapshot is made from. Raises InputError, NotReadyError."""
        recipe = self._catalogue.recipe(language)
        request = RunRequest(language=recipe.id, memory_mib=memory_mib, vcpus=vcpus)
        plan = make_plan(request, recipe, self.image_for(recipe), self._settings, None)
        ready = await self._backend.ready()
        spec = ready.boot_files.spec(Path(plan.image.path), plan.memory_mib, plan.vcpus)
        return SnapshotOrder(
            name=name or snapshot_name(recipe, plan.memory_mib, plan.vcpus),
            recipe=recipe,
            image=plan.image,
            environment=base_environment(recipe, plan.image),
            limits=plan.run.limits,
            kernel=ready.boot_files.kernel,
            spec=spec,
            facts=ready.facts,
        )

    async def verify(self, name: str) -> Verification:
        """Digests, fit, and a clone that runs hello."""
        snapshot = self.snapshots.get(name)
        findings = await self.snapshots.digest_findings(snapshot)
        ready = await self._backend.ready()
        problem = self.problem(snapshot, ready.facts)
        if problem is not None:
            findings.append(problem)
        if not findings and snapshot.manifest is not None:
            manifest = snapshot.manifest
            order = await self.order(manifest.language, name, manifest.memory_mib, manifest.vcpus)
            try:
                await prove(order, _machine(snapshot, manifest, order.spec), ready.fleet, self._settings)
            except NotReadyError as error:
                findings.append(error.message)
        return Verification(name=name, ok=not findings, findings=tuple(findings))

    async def _start(self, request: RunRequest, plan: Plan, ready: Ready) -> Start:
        """Where the run's VM comes from: what the request names, else the first snapshot that fits, else a boot."""
        if request.kernel is not None:
            return self._own_kernel(request, request.kernel, plan, ready)
        if request.snapshot is not None:
            return await self._named(request.snapshot, plan, ready)
        if request.boot == "cold":
            return _cold(plan, ready, "asked for")
        return await self._warmest(plan, ready, required=request.boot == "snapshot")

    def _own_kernel(self, request: RunRequest, kernel: str, plan: Plan, ready: Ready) -> Start:
        if request.snapshot or request.boot == "snapshot":
            raise InputError("A snapshot has a kernel already", remedy="Leave out either the kernel or the snapshot")
        files = ready.boot_files.with_kernel(Path(kernel))
        spec = files.spec(Path(plan.image.path), plan.memory_mib, plan.vcpus)
        return Start(spec, None, None, "own kernel", own_kernel=kernel)

    async def _warmest(self, plan: Plan, ready: Ready, *, required: bool) -> Start:
        """The first snapshot of the language that fits plan and host; none that does is an error if ``required``."""
        misfits: list[str] = []
        for snapshot in self.snapshots.all():
            manifest = snapshot.manifest
            if manifest is None or manifest.language != plan.recipe.id:
                continue
            problem = _wrong_size(manifest, plan) or self.problem(snapshot, ready.facts)
            if problem is None:
                return await self._restore(snapshot, manifest, plan, ready)
            misfits.append(f"{snapshot.name}: {problem}")
        reason = "; ".join(misfits) or f"no snapshot for {plan.recipe.title}"
        if required:
            raise NotReadyError(f"No snapshot fits: {reason}", remedy=_snapshot(plan))
        return _cold(plan, ready, reason)

    async def _named(self, name: str, plan: Plan, ready: Ready) -> Start:
        snapshot = self.snapshots.get(name)
        problem = self.problem(snapshot, ready.facts)
        if problem is None and snapshot.manifest is not None and snapshot.manifest.language != plan.recipe.id:
            raise InputError(f"Snapshot {name!r} is of {snapshot.manifest.language}, not {plan.recipe.id}")
        if problem is not None or snapshot.manifest is None:
            raise SnapshotMismatchError(f"Snapshot {name!r} does not fit: {problem}", remedy=_snapshot(plan))
        return await self._restore(snapshot, snapshot.manifest, plan, ready)

    async def _restore(self, snapshot: StoredSnapshot, manifest: SnapshotManifest, plan: Plan, ready: Ready) -> Start:
        await self.snapshots.require_whole(snapshot)
        spec = ready.boot_files.spec(Path(plan.image.path), manifest.memory_mib, manifest.vcpus)
        return Start(spec, _machine(snapshot, manifest, spec), snapshot.name, "")

    async def _facts(self) -> HostFacts | None:
        try:
            return (await self._backend.ready()).facts
        except NotReadyError:
            return None

    def _language(self, recipe: Recipe, warm: set[str]) -> Language:
        try:
            image: str | None = self.image_for(recipe).name
        except NotReadyError:
            image = None
        return Language(
            id=recipe.id,
            title=recipe.title,
            aliases=recipe.aliases,
            category=recipe.category,
            file_name=recipe.file,
            example=recipe.example.lstrip("\n"),
            syntax=recipe.syntax,
            image=image,
            ready=image is not None,
            warm=recipe.id in warm,
        )


def snapshot_name(recipe: Recipe, memory_mib: int, vcpus: int) -> str:
    return f"{recipe.id}-{memory_mib}m-{vcpus}c"


def _machine(snapshot: StoredSnapshot, manifest: SnapshotManifest, spec: VmSpec) -> MachineState:
    return MachineState(spec, manifest.cpu_model, manifest.machine, snapshot.state, snapshot.memory)


def _cold(plan: Plan, ready: Ready, reason: str) -> Start:
    return Start(ready.boot_files.spec(Path(plan.image.path), plan.memory_mib, plan.vcpus), None, None, reason)


def _wrong_size(manifest: SnapshotManifest, plan: Plan) -> str | None:
    if (manifest.memory_mib, manifest.vcpus) == (plan.memory_mib, plan.vcpus):
        return None
    return f"it has {manifest.memory_mib} MiB and {manifest.vcpus} CPU"


def _build(recipe: Recipe) -> str:
    packages = ",".join(recipe.debian.packages) if recipe.debian else "..."
    return f"Build one: vmdeck rootfs from-debian --name {recipe.id} --lang {recipe.id} --packages {packages}"


def _snapshot(plan: Plan) -> str:
    return f"Make one: vmdeck snapshot create --lang {plan.recipe.id} --mem {plan.memory_mib} --vcpus {plan.vcpus}"
