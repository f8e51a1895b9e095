"""Images and snapshots to and from object storage: what lies there, and transfers as jobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from engine.backend import Backend
from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError, SnapshotMismatchError
from engine.inventory import Inventory
from engine.jobs import JobBoard, JobContext
from engine.languages.catalogue import Catalogue
from engine.models import NAME_PATTERN, Image, Job, RemoteImage, RemotePlace, RemoteSnapshot
from engine.objectstore.bucket import Bucket
from engine.objectstore.download import download, require_room, work_bytes
from engine.objectstore.listed import remote_image, remote_snapshot
from engine.objectstore.manifest import SharedImage, SharedSnapshot
from engine.objectstore.packing import PackedFile
from engine.objectstore.pending import PendingUploads
from engine.objectstore.place import ImageKeys, Place
from engine.objectstore.shelf import FoundImage, Shelf
from engine.objectstore.stop import Stop, Threads
from engine.objectstore.tally import Tally
from engine.objectstore.upload import upload
from engine.rootfs.kept_images import plain_name
from engine.rootfs.progress import bytes_moved
from engine.rootfs.staging import explained, in_thread, staged_folder
from engine.rootfs.store import MANIFEST as IMAGE_MANIFEST
from engine.rootfs.store import ImageManifest, ImageOrigin
from engine.settings import Settings
from engine.snapshots.manifest import MANIFEST, MEMORY, STATE, FileRecord, HostFacts, SnapshotManifest, misfit
from engine.snapshots.store import StoredSnapshot

T = TypeVar("T")
TRANSFERS_AT_ONCE = 3
LOOKS_AT_ONCE = 4
_IMAGE_MODE, _SNAPSHOT_MODE = 0o644, 0o600


class Exchange:
    """Of one data folder. Where a ``place`` names no bucket, InputError is raised."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, backend: Backend, inventory: Inventory, jobs: JobBoard
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._backend = backend
        self._inventory = inventory
        self._jobs = jobs
        self._pending = PendingUploads(settings)
        self._looks, self._transfers = Threads(LOOKS_AT_ONCE), Threads(TRANSFERS_AT_ONCE)
        self._places = asyncio.Semaphore(TRANSFERS_AT_ONCE)

    # --- what lies there

    async def remote_images(self, place: RemotePlace | None) -> list[RemoteImage]:
        found = await self._look(Place.of(self._settings, place), Shelf.images)
        here = {(image.name, image.digest) for image in await in_thread(self._inventory.images.list)}
        return [remote_image(each, here) for each in found]

    async def remote_snapshots(self, place: RemotePlace | None) -> list[RemoteSnapshot]:
        found = await self._look(Place.of(self._settings, place), Shelf.snapshots)
        facts = await self._facts()
        stored = {each.name: each for each in await in_thread(self._inventory.snapshots.all)}
        here = await in_thread(self._builds)
        return [remote_snapshot(each, facts, stored.get(each.name), here) for each in found]

    # --- images

    async def upload_image(self, lang: str, place: RemotePlace | None) -> Job:
        """``lang`` is an image's name, or a language or alias that an image here serves."""
        at = Place.of(self._settings, place)
        name = (await in_thread(self._image, lang)).name

        async def work(context: JobContext) -> str:
            image = await in_thread(self._inventory.images.get, name)
            tally = Tally(context, bytes_moved.get())
            async with self._transfer(context):
                await self._move(at, lambda shelf: self._send_image(shelf, image, tally))
            context(f"Image {name} is in {at}", 1.0)
            return name

        return self._jobs.start("upload", f"Upload image {name} to {at}", work, exclusive_key=f"image {name}")

    async def download_image(self, lang: str, place: RemotePlace | None) -> Job:
        at = Place.of(self._settings, place)
        names = self._names(lang)

        async def work(context: JobContext) -> str:
            shared = await self._look(at, lambda shelf: shelf.trusted_image(names))
            # Only now its name is known.
            async with self._jobs.turn(context, f"image {shared.name}"), self._transfer(context):
                tally = Tally(context, bytes_moved.get())
                tally.expect(work_bytes(shared.rootfs))
                await self._fetch_image(at, at.image(shared.name), shared, context, tally)
            return shared.name

        return self._jobs.start("download", f"Download image {lang} from {at}", work)

    # --- snapshots

    async def upload_snapshot(self, name: str, place: RemotePlace | None) -> Job:
        at = Place.of(self._settings, place)
        await in_thread(self._whole, name)

        async def work(context: JobContext) -> str:
            snapshot, manifest = await in_thread(self._whole, name)
            tally = Tally(context, bytes_moved.get())
            async with self._jobs.turn(context, f"image {manifest.image}"), self._transfer(context):
                await self._move(at, lambda shelf: self._send_snapshot(shelf, snapshot, manifest, tally))
            context(f"Snapshot {name} is in {at}", 1.0)
            return name

        return self._jobs.start("upload", f"Upload snapshot {name} to {at}", work, exclusive_key=f"snapshot {name}")

    async def download_snapshot(self, name: str, place: RemotePlace | None) -> Job:
        """Its image comes along where the one here is missing."""
        at = Place.of(self._settings, place)
        self._inventory.snapshots.path(name)

        async def work(context: JobContext) -> str:
            shared = await self._look(at, lambda shelf: shelf.trusted_snapshot(name))
            await self._refuse_misfit(shared)
            # Until the snapshot is here, nothing else keeps its image from being replaced and then removed.
            async with self._jobs.turn(context, f"image {shared.manifest.image}"), self._transfer(context):
                await self._fetch_both(at, shared, context)
            return name

        return self._jobs.start(
            "download", f"Download snapshot {name} from {at}", work, exclusive_key=f"snapshot {name}"
        )

    # --- sending, in threads

    def _send_image(self, shelf: Shelf, image: Image, tally: Tally) -> None:
        """Raises NotReadyError, ConflictError where snapshots there need the one that it would replace."""
        keys = shelf.bucket.place.image(image.name)
        if shelf.whole_image(keys, image.name, image.digest):
            tally.line(f"Image {image.name} is there already, with the same digest")
            return
        if users := shelf.left_without(image.name, image.digest):
            raise ConflictError(
                f"The image {image.name} in {shelf.bucket.place} is another, and these snapshots there need that: "
                + ", ".join(users),
                remedy="Make them anew (vmdeck snapshot refresh) and upload them first, or take another --prefix",
            )
        tally.expect(image.size_bytes)
        self._send_rootfs(shelf, keys, image, tally)

    def _send_rootfs(self, shelf: Shelf, keys: ImageKeys, image: Image, tally: Tally) -> None:
        rootfs = Path(image.path)
        with _readable(rootfs):
            manifest = ImageManifest.model_validate_json(rootfs.with_name(IMAGE_MANIFEST).read_bytes())
        packed = self._send(shelf, keys.content, rootfs, manifest.digest, tally)
        shelf.put_image(keys, SharedImage(manifest=manifest, rootfs=packed))

    def _send_snapshot(self, shelf: Shelf, snapshot: StoredSnapshot, manifest: SnapshotManifest, tally: Tally) -> None:
        """Its image first: whoever sees the snapshot's manifest finds all that it needs."""
        is_newest = self._digest_here(manifest.image) == manifest.image_digest
        keys = shelf.place_for_image_of(manifest, newest=is_newest)
        image = self._its_image(manifest) if keys else None
        tally.expect(manifest.state.size + manifest.memory.size + (image.size_bytes if image else 0))
        if keys is not None and image is not None:
            self._send_rootfs(shelf, keys, image, tally)
        packed: dict[str, PackedFile] = {}
        for path, made in snapshot.records():
            key = shelf.bucket.place.snapshot_file(snapshot.name, path.name)
            packed[path.name] = self._send(shelf, key, path, made.sha256, tally)
        if shelf.image_of(manifest) is None:
            raise ConflictError(
                f"The image {manifest.image} in {shelf.bucket.place} was replaced while the snapshot was uploaded",
                remedy="Upload the snapshot once more: its image goes with it then",
            )
        shelf.put_snapshot(SharedSnapshot(manifest=manifest, state=packed[STATE], memory=packed[MEMORY]))

    def _send(self, shelf: Shelf, key: str, path: Path, sha256: str, tally: Tally) -> PackedFile:
        with _readable(path), path.open("rb") as file:
            size = path.stat().st_size
            tally.begin(f"Uploading {path.name}, {size / 1e6:.1f} MB before packing", path.name, size)
            packed = upload(shelf.bucket, key, file, sha256, self._pending, tally)
        tally.line(f"{path.name} took {packed.packed_bytes / 1e6:.1f} MB")
        return packed

    # --- fetching

    async def _fetch_both(self, at: Place, shared: SharedSnapshot, context: JobContext) -> None:
        """A snapshot, and its image where that is not here."""
        made = shared.manifest
        tally = Tally(context, bytes_moved.get())
        image = await self._missing_image(at, made)
        files = (shared.state, shared.memory, *([image.shared.rootfs] if image else ()))
        tally.expect(sum(map(work_bytes, files)))
        require_room(sum(file.data_bytes for file in files), self._settings.snapshots_dir / shared.name)
        if image is not None:
            in_the_way = partial(self._refuse_another, made, image.keys == at.image(made.image))
            await self._fetch_image(at, image.keys, image.shared, context, tally, in_the_way)
        await self._fetch_snapshot(at, shared, context, tally)

    async def _fetch_image(
        self,
        at: Place,
        keys: ImageKeys,
        shared: SharedImage,
        progress: JobContext,
        tally: Tally,
        refuse: Callable[[], None] = lambda: None,
    ) -> None:
        """``refuse`` is asked once it is whole, before it takes the place of what is here.

        Raises NotReadyError, ConflictError, and what ``refuse`` raises.
        """
        name, packed = shared.name, shared.rootfs
        if self._digest_here(name) == packed.sha256:
            progress(f"Image {name} is here already, with the same digest")
            return
        target = self._settings.images_dir / name

        async def fetched(out: Path) -> ImageOrigin:
            tally.begin(f"Downloading image {name}, {packed.packed_bytes / 1e6:.1f} MB", name, work_bytes(packed))
            await self._fetch(at, keys.content, packed, target, out, _IMAGE_MODE, tally)
            await in_thread(refuse)
            return shared.manifest.origin

        await self._inventory.images.put(name, fetched)
        await in_thread(self._inventory.remove_unused, name)
        progress(f"Image {name} is here", None)

    async def _fetch_snapshot(self, at: Place, shared: SharedSnapshot, progress: JobContext, tally: Tally) -> None:
        target = self._settings.snapshots_dir / shared.name
        async with staged_folder(target) as folder:
            records: dict[str, FileRecord] = {}
            for file, packed in ((STATE, shared.state), (MEMORY, shared.memory)):
                out = folder / file
                line = f"Downloading {file} of snapshot {shared.name}, {packed.packed_bytes / 1e6:.1f} MB"
                tally.begin(line, file, work_bytes(packed))
                key = at.snapshot_file(shared.name, file)
                await self._fetch(at, key, packed, target, out, _SNAPSHOT_MODE, tally)
                records[file] = _record(out, packed)
            manifest = shared.manifest.model_copy(update=records)
            if await in_thread(self._has_no_image, manifest):
                raise ConflictError(
                    f"The image {manifest.image} that snapshot {shared.name} needs was removed meanwhile",
                    remedy="Download the snapshot once more: its image comes with it then",
                )
            (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))
        progress(f"Snapshot {shared.name} is here", 1.0)

    async def _fetch(
        self, at: Place, key: str, packed: PackedFile, target: Path, out: Path, mode: int, tally: Tally
    ) -> None:
        try:
            await self._move(at, lambda shelf: download(shelf.bucket, key, packed, target, out, mode, tally))
        except OSError as error:
            raise explained(error, target) from error

    # --- what is here

    def _names(self, lang: str) -> list[str]:
        """What an image may be called that someone calls ``lang``. Raises InputError."""
        try:
            names = dict.fromkeys((lang, self._catalogue.recipe(lang).id))
        except NotFoundError:
            names = {lang: None}
        found = [name for name in names if re.fullmatch(NAME_PATTERN, name)]
        if not found:
            raise InputError(f"{lang[:64]!r} is no image or language", remedy="List them: vmdeck rootfs list --remote")
        return found

    def _image(self, lang: str) -> Image:
        try:
            return self._inventory.images.get(lang)
        except NotFoundError:
            return self._inventory.image_for(self._catalogue.recipe(lang))

    def _digest_here(self, name: str) -> str | None:
        try:
            image = self._inventory.images.check(name)
        except NotFoundError:
            return None
        return None if image.problem else image.digest

    def _has_no_image(self, made: SnapshotManifest) -> bool:
        """Whether the very build that a snapshot was made of is not here, or damaged."""
        try:
            return self._inventory.images.find(made.image, made.image_digest).problem is not None
        except NotFoundError:
            return True

    def _builds(self) -> set[tuple[str, str]]:
        images = self._inventory.images
        return {(plain_name(each.name), each.digest) for each in (*images.list(), *images.older()) if not each.problem}

    def _its_image(self, manifest: SnapshotManifest) -> Image:
        """The very build that a snapshot was made of. Raises NotReadyError."""
        remedy = f"Make the snapshot anew: vmdeck snapshot refresh {manifest.name}"
        try:
            image = self._inventory.images.find(manifest.image, manifest.image_digest)
        except NotFoundError as error:
            raise NotReadyError(
                f"The image {manifest.image} here is not the one that snapshot {manifest.name} was made from, nor is "
                "that in the bucket, whole and signed as is asked for here",
                remedy=remedy,
            ) from error
        if image.problem is not None:
            raise NotReadyError(f"The image {image.name} can't be uploaded: {image.problem}", remedy=remedy)
        return image

    def _whole(self, name: str) -> tuple[StoredSnapshot, SnapshotManifest]:
        """Raises NotFoundError, ConflictError where its manifest can't be read."""
        snapshot = self._inventory.snapshots.get(name)
        if snapshot.manifest is None:
            raise ConflictError(f"Snapshot {name} can't be uploaded: {snapshot.problem}", remedy="Make it anew")
        return snapshot, snapshot.manifest

    async def _missing_image(self, at: Place, made: SnapshotManifest) -> FoundImage | None:
        """The image that a snapshot needs and that has to be fetched, None where it is here.

        Raises NotReadyError where the bucket has it not, ConflictError where another of its name is here.
        """
        if not await in_thread(self._has_no_image, made):
            return None
        found = await self._move(at, lambda shelf: shelf.trusted_image_of(made))
        await in_thread(self._refuse_another, made, found.keys == at.image(made.image))
        return found

    def _refuse_another(self, made: SnapshotManifest, is_shared: bool) -> None:
        """Raises ConflictError where the image here is not the one that a snapshot needs."""
        here = self._digest_here(made.image)
        if here in (None, made.image_digest):
            return
        way = f"Replace the image first: vmdeck rootfs download --lang {made.image}"
        raise ConflictError(
            f"Snapshot {made.name} needs image {made.image} of digest {made.image_digest[:12]}…; the one here has "
            f"{here[:12]}…, and other snapshots may need that",
            remedy=way if is_shared else f"Remove the image here first: vmdeck rootfs rm {made.image}",
        )

    async def _refuse_misfit(self, shared: SharedSnapshot) -> None:
        """Before gigabytes come that are of no use here. Raises SnapshotMismatchError."""
        facts = await self._facts()
        if facts is None:
            return
        if (problem := misfit(shared.manifest, facts, shared.manifest.image_digest)) is not None:
            raise SnapshotMismatchError(
                f"Snapshot {shared.name} does not fit this host: {problem}",
                remedy=f"Make one here: vmdeck snapshot create --lang {shared.manifest.language}",
            )

    async def _facts(self) -> HostFacts | None:
        try:
            return (await self._backend.ready()).facts
        except NotReadyError:
            return None

    # --- threads

    @asynccontextmanager
    async def _transfer(self, context: JobContext) -> AsyncGenerator[None]:
        """A place among TRANSFERS_AT_ONCE. Whoever has it waits for no other job any more."""
        if self._places.locked():
            context.step(f"waiting: {TRANSFERS_AT_ONCE} other transfers are under way")
        async with self._places:
            context.step("")
            yield

    async def _look(self, at: Place, work: Callable[[Shelf], T]) -> T:
        """``work``, which is short, in a thread that no transfer has."""
        return await self._looks.run(partial(self._opened, at, work))

    async def _move(self, at: Place, work: Callable[[Shelf], T]) -> T:
        """``work`` of a job that has a place among the transfers, in a thread."""
        return await self._transfers.run(partial(self._opened, at, work))

    def _opened(self, at: Place, work: Callable[[Shelf], T], stop: Stop) -> T:
        with Bucket.open(at, stop) as bucket:
            return work(Shelf(bucket, self._settings))

    async def close(self) -> None:
        """To be called once its jobs have ended. Idempotent."""
        await self._looks.close()
        await self._transfers.close()


@contextmanager
def _readable(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise NotReadyError(
            f"{path} can't be uploaded: {error.strerror}", remedy="Look at it and at its disk, then try again"
        ) from error


def _record(path: Path, packed: PackedFile) -> FileRecord:
    """Of a file that was just written with the content of ``packed``."""
    info = path.stat()
    return FileRecord(sha256=packed.sha256, size=info.st_size, mtime_ns=info.st_mtime_ns, inode=info.st_ino)
