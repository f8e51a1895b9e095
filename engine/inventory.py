"""What this host has to run code from: languages, images and snapshots, and which of them serve a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path

from engine.backend import Backend, Ready
from engine.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    NotReadyError,
    SnapshotMismatchError,
    VmdeckError,
)
from engine.languages.catalogue import Catalogue, Recipe
from engine.languages.proofs import read_proofs, standing
from engine.models import Image, Language, Measured, Proof, RunRequest, Snapshot, Verification
from engine.rootfs.kept_images import plain_name
from engine.rootfs.sources import sources
from engine.rootfs.staging import in_thread
from engine.rootfs.store import ImageStore
from engine.runs.lease import Start
from engine.runs.plan import Plan, base_environment, make_plan
from engine.settings import Settings
from engine.snapshots.create import SERVER, SnapshotOrder, prove
from engine.snapshots.manifest import HostFacts, SnapshotManifest
from engine.snapshots.store import SnapshotStore, StoredSnapshot
from engine.vmm.base import MachineState, VmSpec
from engine.vmm.fleet import VmPurpose


class Inventory:
    """Reads the stores; changes nothing in them."""

    def __init__(self, settings: Settings, catalogue: Catalogue, backend: Backend) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._backend = backend
        self.images = ImageStore(settings)
        self.snapshots = SnapshotStore(settings)

    def image_for(self, recipe: Recipe, among: Sequence[Image] | None = None) -> Image:
        """The image that serves a language, ``among`` all if these are known. Raises NotReadyError where none does."""
        images = self._candidates(recipe) if among is None else among
        serving = [image for image in images if recipe.id in (image.name, *image.languages)]
        for image in sorted(serving, key=lambda image: (image.problem is not None, image.name != recipe.id)):
            if image.problem is None:
                return image
            raise NotReadyError(f"The image {image.name} can't be used: {image.problem}", remedy=_build(recipe))
        raise NotReadyError(f"No image here runs {recipe.title}", remedy=_build(recipe))

    def _candidates(self, recipe: Recipe) -> Sequence[Image]:
        """All images, or the one that goes before all others: a run should not read every manifest."""
        with suppress(NotFoundError):
            if (own := self.images.check(recipe.id)).problem is None:
                return [own]
        return self.images.list()

    def list_images(self, live: Mapping[str, VmPurpose]) -> list[Image]:
        """With what uses each; ``live`` are VMs by id."""
        stored = self.snapshots.all()
        return [image.model_copy(update={"used_by": _users(image, live, stored)}) for image in self.images.list()]

    def remove_image(self, name: str, live: Mapping[str, VmPurpose]) -> None:
        """Raises NotFoundError, ConflictError while something uses it."""
        stored = self.snapshots.all()
        self.images.remove(name, lambda image: _users(image, live, stored))

    def older_unused(self) -> list[Image]:
        """Older builds of images that no snapshot was made of, and those that are the newest again."""
        needed = {each.manifest.image_digest for each in self.snapshots.all() if each.manifest is not None}
        newest = {image.name: image.digest for image in self.images.list()}
        return [
            image
            for image in self.images.older()
            if image.digest not in needed or newest.get(plain_name(image.name)) == image.digest
        ]

    def remove_unused(self, name: str | None = None) -> list[Image]:
        """Remove what ``older_unused`` tells, of one image or of all; what was removed. Raises NotReadyError."""
        unused = [image for image in self.older_unused() if name in (None, plain_name(image.name))]
        for image in unused:
            self.images.remove_older(image)
        return unused

    async def languages(self) -> list[Language]:
        """Each with what its snapshots prove: none was published before a clone of it had run hello."""
        snapshots = await self.list_snapshots()

        def described() -> list[Language]:
            images = self.images.list()
            return [self._language(recipe, images, snapshots) for recipe in self._catalogue]

        return await in_thread(described)

    async def list_snapshots(self) -> list[Snapshot]:
        return await in_thread(self._described, await self._facts())

    def _described(self, facts: HostFacts | None) -> list[Snapshot]:
        newest = {image.name: image.digest for image in self.images.list()}
        described: list[Snapshot] = []
        for stored in self.snapshots.all():
            snapshot = self.snapshots.describe(stored, self.problem(stored, facts))
            if snapshot is None:
                continue
            outdated = snapshot.fits and newest.get(snapshot.image) != snapshot.image_digest
            described.append(snapshot.model_copy(update={"outdated": outdated}))
        return described

    def problem(self, snapshot: StoredSnapshot, facts: HostFacts | None) -> str | None:
        """Why a snapshot can't be restored here, None where it can."""
        image = self._image_of(snapshot)
        fault = self.snapshots.problem(snapshot, facts, image.digest if image else None)
        return fault or self._server_problem(snapshot.manifest)

    def _image_of(self, snapshot: StoredSnapshot) -> Image | None:
        """The very build that a snapshot was made of, None where it is gone."""
        if snapshot.manifest is None:
            return None
        try:
            return self.images.find(snapshot.manifest.image, snapshot.manifest.image_digest)
        except NotFoundError:
            return None

    def _server_problem(self, manifest: SnapshotManifest | None) -> str | None:
        try:
            recipe = self._catalogue.recipe(manifest.language) if manifest else None
        except NotFoundError:
            recipe = None
        if manifest is None or recipe is None or (recipe.server is not None) == (manifest.warm == SERVER):
            return None
        return f"{recipe.title} {'has a server since' if recipe.server else 'has no server any more'}"

    async def plan(self, ready: Ready, request: RunRequest, stdin: str | None) -> tuple[Plan, Start]:
        """What to run, and where from, on the VMM of ``ready``. Raises InputError, NotReadyError."""
        recipe = self._catalogue.recipe(request.language)
        # A run that names a snapshot has the image of that, which may be an older build.
        named = self._image_of(self.snapshots.get(request.snapshot)) if request.snapshot else None
        plan = make_plan(request, recipe, named or self.image_for(recipe), self._settings, stdin)
        start = await self._start(request, plan, ready)
        return plan, start

    async def order(
        self,
        language: str,
        name: str | None,
        memory_mib: int | None,
        vcpus: int | None,
        image: Image | None = None,
    ) -> SnapshotOrder:
        """All that a new snapshot is made from, of the newest image if not of ``image``.

        Raises InputError, NotReadyError.
        """
        recipe = self._catalogue.recipe(language)
        request = RunRequest(language=recipe.id, memory_mib=memory_mib, vcpus=vcpus)
        plan = make_plan(request, recipe, image or self.image_for(recipe), self._settings, None)
        ready = await self._backend.ready()
        spec = ready.boot_files.spec(Path(plan.image.path), plan.memory_mib, plan.vcpus)
        return SnapshotOrder(
            name=name or snapshot_name(recipe, plan.memory_mib, plan.vcpus),
            recipe=plan.recipe,
            image=plan.image,
            environment=base_environment(recipe, plan.image),
            limits=plan.run.limits,
            service=plan.service,
            kernel=ready.boot_files.kernel,
            spec=spec,
            facts=ready.facts,
            current=partial(self._is_current, plan.image),
        )

    async def renewal(self, name: str) -> SnapshotOrder:
        """To make a snapshot anew as it was. Raises NotFoundError, NotReadyError, InputError, and ConflictError where
        its manifest can't be read."""
        snapshot = await in_thread(self.snapshots.get, name)
        manifest = snapshot.manifest
        if manifest is None:
            raise ConflictError(
                f"What {name!r} was made of is not known: {snapshot.problem}",
                remedy="Delete it and make another: vmdeck snapshot rm, vmdeck snapshot create",
            )
        return await self.order(manifest.language, name, manifest.memory_mib, manifest.vcpus)

    async def verify(self, name: str) -> Verification:
        """Digests, fit, and a clone that runs hello. Raises ConflictError where it is made anew meanwhile."""
        snapshot = await in_thread(self.snapshots.get, name)
        try:
            verification = await self._verify(name, snapshot)
        except VmdeckError as error:
            if await in_thread(_is_same, self.snapshots, snapshot):
                raise
            raise _replaced(name) from error
        if not await in_thread(_is_same, self.snapshots, snapshot):
            raise _replaced(name)
        return verification

    async def _verify(self, name: str, snapshot: StoredSnapshot) -> Verification:
        findings = await self.snapshots.digest_findings(snapshot)
        ready = await self._backend.ready()
        problem = await in_thread(self.problem, snapshot, ready.facts)
        if problem is not None:
            findings.append(problem)
        if not findings and snapshot.manifest is not None:
            manifest = snapshot.manifest
            image = self._image_of(snapshot)
            order = await self.order(manifest.language, name, manifest.memory_mib, manifest.vcpus, image)
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
            return self._cold(plan, ready, "asked for")
        return await self._warmest(plan, ready, required=request.boot == "snapshot")

    def _own_kernel(self, request: RunRequest, kernel: str, plan: Plan, ready: Ready) -> Start:
        if request.snapshot or request.boot == "snapshot":
            raise InputError("A snapshot has a kernel already", remedy="Leave out either the kernel or the snapshot")
        files = ready.boot_files.with_kernel(Path(kernel))
        spec = files.spec(Path(plan.image.path), plan.memory_mib, plan.vcpus)
        current = partial(self._is_current, plan.image)
        return Start(spec, None, None, "own kernel", own_kernel=kernel, current=current, service=plan.service)

    async def _warmest(self, plan: Plan, ready: Ready, *, required: bool) -> Start:
        """The first snapshot of the language that fits plan and host; none that does is an error if ``required``."""
        misfits: list[str] = []
        for snapshot in self.snapshots.all():
            manifest = snapshot.manifest
            if manifest is None or manifest.language != plan.recipe.id:
                continue
            # Of the newest build only: what was built since is there because someone wants it.
            problem = _wrong_size(manifest, plan) or self.snapshots.problem(snapshot, ready.facts, plan.image.digest)
            if problem is None:
                try:
                    return await self._restore(snapshot, manifest, plan, ready)
                except NotFoundError as error:
                    problem = error.message
            misfits.append(f"{snapshot.name}: {problem}")
        reason = "; ".join(misfits) or f"no snapshot for {plan.recipe.title}"
        if required:
            raise NotReadyError(f"No snapshot fits: {reason}", remedy=_snapshot(plan))
        return self._cold(plan, ready, reason)

    async def _named(self, name: str, plan: Plan, ready: Ready) -> Start:
        snapshot = self.snapshots.get(name)
        problem = self.problem(snapshot, ready.facts)
        if problem is None and snapshot.manifest is not None and snapshot.manifest.language != plan.recipe.id:
            raise InputError(f"Snapshot {name!r} is of {snapshot.manifest.language}, not {plan.recipe.id}")
        if problem is not None or snapshot.manifest is None:
            remedy = f"Make it anew: vmdeck snapshot refresh {snapshot.name}"
            raise SnapshotMismatchError(f"Snapshot {name!r} does not fit: {problem}", remedy=remedy)
        return await self._restore(snapshot, snapshot.manifest, plan, ready)

    def _cold(self, plan: Plan, ready: Ready, reason: str) -> Start:
        spec = ready.boot_files.spec(Path(plan.image.path), plan.memory_mib, plan.vcpus)
        return Start(spec, None, None, reason, current=partial(self._is_current, plan.image), service=plan.service)

    async def _restore(self, snapshot: StoredSnapshot, manifest: SnapshotManifest, plan: Plan, ready: Ready) -> Start:
        await self.snapshots.require_whole(snapshot)
        spec = ready.boot_files.spec(Path(plan.image.path), manifest.memory_mib, manifest.vcpus)
        current = partial(self._is_current, plan.image, snapshot)
        return Start(spec, _machine(snapshot, manifest, spec), snapshot.name, "", current=current)

    def _is_current(self, image: Image, snapshot: StoredSnapshot | None = None) -> bool:
        """Whether both are still what was looked at: built or made anew since, they are others."""
        try:
            now = self.images.find(image.name, image.digest)
        except NotFoundError:
            return False
        same_image = (now.path, now.created) == (image.path, image.created)
        return same_image and (snapshot is None or _is_same(self.snapshots, snapshot))

    async def _facts(self) -> HostFacts | None:
        try:
            return (await self._backend.ready()).facts
        except NotReadyError:
            return None

    @cached_property
    def _measured(self) -> dict[str, Measured]:
        """By id, of the languages whose proof stands."""
        proofs = read_proofs()
        return {
            recipe.id: Measured(vmm=proof.vmm, date=proof.date, image_bytes=proof.image_bytes, build_s=proof.build_s)
            for recipe in self._catalogue
            if (proof := standing(recipe, proofs))
        }

    def _language(self, recipe: Recipe, images: Sequence[Image], snapshots: Sequence[Snapshot]) -> Language:
        try:
            image = self.image_for(recipe, images)
        except NotReadyError:
            image = None
        digest = image.digest if image else None
        of_it = [each for each in snapshots if each.language == recipe.id and each.image_digest == digest]
        proofs = [Proof(vmm=each.vmm, date=each.created) for each in of_it]
        # An image may serve further languages, of which its builder has asked no version.
        built_for = image.languages[:1] if image else ()
        return Language(
            id=recipe.id,
            title=recipe.title,
            aliases=recipe.aliases,
            category=recipe.category,
            file_name=recipe.file,
            example=recipe.example.lstrip("\n"),
            syntax=recipe.syntax,
            packages=recipe.debian.packages if recipe.debian else (),
            pypi=recipe.pypi,
            npm=recipe.npm,
            suite=recipe.debian.suite if recipe.debian else None,
            timeout_s=recipe.limits.timeout_s,
            memory_mib=recipe.memory_mib or self._settings.default_memory_mib,
            vcpus=self._settings.default_vcpus,
            image=image.name if image else None,
            ready=image is not None,
            version=image.version if image and built_for == (recipe.id,) else None,
            source=image.source if image else _would_come_from(recipe),
            sources=sources(recipe),
            docker_image=recipe.docker.image if recipe.docker else None,
            measured=self._measured.get(recipe.id),
            proven=max(proofs, key=lambda proof: proof.date, default=None),
            warm=any(each.fits for each in of_it),
        )


def snapshot_name(recipe: Recipe, memory_mib: int, vcpus: int) -> str:
    return f"{recipe.id}-{memory_mib}m-{vcpus}c"


def _users(image: Image, live: Mapping[str, VmPurpose], stored: list[StoredSnapshot]) -> tuple[str, ...]:
    """What keeps an image from being removed: VMs by its name, snapshots by its digest."""
    made = [each.name for each in stored if each.manifest is not None and each.manifest.image_digest == image.digest]
    vms = [vm_id for vm_id, purpose in live.items() if purpose.image == image.name]
    return (*(f"snapshot {name}" for name in made), *(f"VM {vm_id}" for vm_id in vms))


def _is_same(store: SnapshotStore, snapshot: StoredSnapshot) -> bool:
    try:
        return store.get(snapshot.name).manifest == snapshot.manifest
    except NotFoundError:
        return False


def _replaced(name: str) -> ConflictError:
    return ConflictError(f"Snapshot {name!r} was made anew or removed while it was verified", remedy="Verify it again")


def _machine(snapshot: StoredSnapshot, manifest: SnapshotManifest, spec: VmSpec) -> MachineState:
    return MachineState(spec, manifest.cpu_model, manifest.machine, snapshot.state, snapshot.memory)


def _wrong_size(manifest: SnapshotManifest, plan: Plan) -> str | None:
    if (manifest.memory_mib, manifest.vcpus) == (plan.memory_mib, plan.vcpus):
        return None
    return f"it has {manifest.memory_mib} MiB and {manifest.vcpus} CPU"


def _build(recipe: Recipe) -> str:
    return f"Build one: vmdeck rootfs build {recipe.id}"


def _would_come_from(recipe: Recipe) -> str:
    known = sources(recipe)
    return "docker only" if known == ("docker",) else ", ".join(known)


def _snapshot(plan: Plan) -> str:
    return f"Make one: vmdeck snapshot create --lang {plan.recipe.id} --mem {plan.memory_mib} --vcpus {plan.vcpus}"
