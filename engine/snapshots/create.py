"""Make a snapshot: boot the language's image, run its hello until it is warm, save, prove it by restoring, publish."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import ConflictError, InternalError, NotReadyError, VmdeckError
from engine.guestlink.collect import Collected, collect
from engine.guestlink.dial import greeted, resynced, served
from engine.guestlink.guest import Guest, GuestFile, Program, Service, WireLimits
from engine.languages.catalogue import WORK_DIR, Recipe
from engine.models import Image, VmState
from engine.rootfs.progress import Progress
from engine.rootfs.staging import in_thread, staged_folder, sync
from engine.settings import Settings
from engine.snapshots.manifest import FORMAT, MANIFEST, MEMORY, STATE, HostFacts, SnapshotManifest
from engine.snapshots.store import record
from engine.vmm.base import MachineState, SavedState, VmSpec
from engine.vmm.fleet import Fleet, LiveVm, VmPurpose

_MIB = 1024 * 1024
_HELLO_LIMITS = WireLimits(60_000, 60_000, 1 << 40, 512, _MIB, _MIB, 256 * _MIB, 256 * _MIB)
_PARK_DEADLINE_S = 60.0
PARKED, SERVER, PAGECACHE = "parked", "server", "pagecache"


@dataclass(frozen=True, slots=True)
class SnapshotOrder:
    """All that a snapshot is made from. ``current`` tells whether the image is still the one of ``image``."""

    name: str
    recipe: Recipe
    image: Image
    environment: Mapping[str, str]
    limits: WireLimits
    service: Service | None
    kernel: str
    spec: VmSpec
    facts: HostFacts
    current: Callable[[], bool]


async def create(order: SnapshotOrder, fleet: Fleet, settings: Settings, progress: Progress) -> SnapshotManifest:
    """Nothing is published unless a clone ran the language's hello; an older snapshot of that name stays until then.

    Raises InternalError, NotReadyError, and ConflictError where the image was built anew meanwhile.
    """
    async with staged_folder(settings.snapshots_dir / order.name) as folder:
        with _of_one_image(order):
            saved, warm = await _warm_and_save(order, fleet, settings, folder, progress)
            progress("Proving it: restoring a clone and running hello in it", 0.7)
            await prove(order, machine_state(order.spec, saved), fleet, settings)
        progress("Computing digests", 0.85)
        manifest = await in_thread(_manifest, order, saved, warm)
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))
        for file in (STATE, MEMORY):
            await in_thread(sync, folder / file)
        # That took seconds, and until it is published no snapshot keeps an older image from being removed.
        _require_current(order)
    progress(f"Snapshot {order.name} is ready", 1.0)
    return manifest


@contextmanager
def _of_one_image(order: SnapshotOrder) -> Generator[None]:
    """Whatever the body did or failed in, one image and no other was in its drives."""
    failure: VmdeckError | None = None
    try:
        yield
    except VmdeckError as error:
        failure = error
    _require_current(order, failure)
    if failure is not None:
        raise failure


def _require_current(order: SnapshotOrder, failure: VmdeckError | None = None) -> None:
    if not order.current():
        raise ConflictError(
            f"The image {order.image.name} was built anew while the snapshot {order.name} was made from it",
            remedy="Make the snapshot once more",
        ) from failure


async def prove(order: SnapshotOrder, saved: MachineState, fleet: Fleet, settings: Settings) -> None:
    """Restore one clone and run hello in it. Raises InternalError where that does not give the expected output."""
    purpose = VmPurpose("snapshot proof", order.recipe.id, order.image.name, order.name)
    async with fleet.restore(saved, purpose) as live, live.dial() as guest:
        await greeted(live.vm, guest, settings.restore_deadline_s, cold=False)
        await resynced(live.vm, guest, settings.restore_deadline_s, doing="Restoring the snapshot")
        live.state = VmState.RUNNING
        await _hello(order, guest, settings, warm=order.recipe.warm == "fork")


def machine_state(spec: VmSpec, saved: SavedState) -> MachineState:
    return MachineState(spec, saved.cpu_model, saved.machine, saved.state, saved.memory)


async def _warm_and_save(
    order: SnapshotOrder, fleet: Fleet, settings: Settings, folder: Path, progress: Progress
) -> tuple[SavedState, str]:
    purpose = VmPurpose("snapshot", order.recipe.id, order.image.name, order.name)
    progress("Booting the microVM", 0.05)
    async with fleet.boot(order.spec, purpose, saveable=True) as live, live.dial() as guest:
        await greeted(live.vm, guest, settings.boot_deadline_s, cold=True)
        await resynced(live.vm, guest, settings.restore_deadline_s, doing="Setting up the microVM")
        live.state = VmState.RUNNING
        warm = await _warm(order, live, guest, settings, progress)
        progress("Saving the machine", 0.55)
        saved = await live.vm.save(folder)
    return saved, warm


async def _warm(order: SnapshotOrder, live: LiveVm, guest: Guest, settings: Settings, progress: Progress) -> str:
    """Leaves an empty cell, in which what hello left is gone: an interpreter parked or a server running where the
    language has one. Returns which."""
    title, service = order.recipe.title, order.service
    if service:
        progress(f"Starting the server of {title}", 0.25)
        await served(live.vm, guest, service)
    progress(f"Running hello in {title} until it is warm", 0.3)
    await _hello(order, guest, settings, warm=False)
    if service:
        progress("Starting the server anew", 0.4)
        await served(live.vm, guest, service)
        return SERVER
    parks = order.recipe.warm == "fork"
    if parks:
        progress("Parking an interpreter", 0.4)
        await _prepare(order, guest, parks=True)
        await _hello(order, guest, settings, warm=True)  # the parked path is warm now too
    return PARKED if await _prepare(order, guest, parks=parks) else PAGECACHE


async def _prepare(order: SnapshotOrder, guest: Guest, *, parks: bool) -> bool:
    argv = order.recipe.run[:1] if parks else None
    parked = await guest.prepare(argv, order.environment, order.limits, _PARK_DEADLINE_S)
    if parks and not parked:
        raise InternalError(f"No {order.recipe.title} interpreter could be parked")
    return parked


async def _hello(order: SnapshotOrder, guest: Guest, settings: Settings, *, warm: bool) -> None:
    recipe = order.recipe
    script = GuestFile(recipe.file, recipe.hello.encode())
    limits = _hello_limits(recipe)
    if recipe.compile:
        compiler = Program(recipe.command(recipe.compile), order.environment, WORK_DIR, limits, script=script)
        _require(recipe, await _collect(guest, compiler, settings), expected=None)
    program = Program(recipe.command(recipe.run), order.environment, WORK_DIR, limits, warm=warm, script=script)
    _require(recipe, await _collect(guest, program, settings), expected=recipe.expect)


def _hello_limits(recipe: Recipe) -> WireLimits:
    """More than a run gets: nothing is warm yet, and compilers are slow where the processor is emulated."""
    time_ms = max(_HELLO_LIMITS.wall_ms, round(recipe.limits.timeout_s * 10_000))
    tmpfs_bytes = max(_HELLO_LIMITS.tmpfs_bytes, recipe.limits.tmpfs_mib * _MIB)
    return replace(_HELLO_LIMITS, wall_ms=time_ms, cpu_ms=time_ms, tmpfs_bytes=tmpfs_bytes)


async def _collect(guest: Guest, program: Program, settings: Settings) -> Collected:
    return await collect(guest, program, start_deadline_s=settings.boot_deadline_s, grace_s=settings.kill_grace_s)


def _require(recipe: Recipe, outcome: Collected, expected: str | None) -> None:
    end, said = outcome
    if end.code == 0 and expected in (None, said["stdout"]):
        return
    raise NotReadyError(
        f"{recipe.title} does not work in this image: its hello ended by {end.reason} "
        f"(code {end.code}), stdout {said['stdout'][:200]!r}, stderr {said['stderr'][-400:]!r} {end.message}",
        remedy=f"Build the image anew with what {recipe.title} needs: vmdeck rootfs build {recipe.id}",
    )


def _manifest(order: SnapshotOrder, saved: SavedState, warm: str) -> SnapshotManifest:
    facts = order.facts
    folder = saved.state.parent
    return SnapshotManifest(
        format=FORMAT,
        name=order.name,
        language=order.recipe.id,
        warm=warm,
        created=datetime.now(UTC),
        image=order.image.name,
        image_digest=order.image.digest,
        kernel=order.kernel,
        kernel_sha256=facts.kernel_sha256,
        initramfs_digest=facts.initramfs_digest,
        cmdline=order.spec.cmdline,
        vmm=facts.vmm,
        vmm_version=facts.vmm_version,
        accelerator=facts.accelerator,
        machine=saved.machine,
        cpu_model=saved.cpu_model,
        host_cpu=facts.host_cpu,
        memory_mib=order.spec.memory_mib,
        vcpus=order.spec.vcpus,
        state=record(folder / STATE),
        memory=record(folder / MEMORY),
    )
