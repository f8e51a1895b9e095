"""The images of a data folder: ``images/<name>/{rootfs.ext4, manifest.json}``, each whole or absent.

A finished image is never altered. One built again under the same name takes the place of the older in one step and
has another digest: VMs that have the older one open keep it, a VM that was just starting is started again
(engine/runs/lease.py), and snapshots that were made of it have it from ``images/.kept`` (engine/rootfs/kept_images.py)
until they are made anew.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, ValidationError

from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError
from engine.models import NAME_PATTERN, Image, Name, Value
from engine.rootfs.kept_images import KeptImages, plain_name
from engine.rootfs.staging import in_thread, remove_folder, sha256_file, staged_folder
from engine.settings import Settings

MANIFEST = "manifest.json"
ROOTFS = "rootfs.ext4"


class ImageOrigin(Value):
    """What the builder of an image knows of it."""

    source: str = Field(description='where it comes from, such as "debian bookworm"')
    source_id: str = Field(default="", description="of a Docker image its id, a digest")
    languages: tuple[str, ...] = ()
    packages: tuple[str, ...] = Field(default=(), description="as asked for, without what they depend on")
    pypi: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    suite: str | None = None
    version: str | None = Field(default=None, description="what the language's tool says of itself")
    installed: tuple[str, ...] = Field(default=(), description="every package that is in it, with its version")
    varies: tuple[str, ...] = Field(default=(), description="what may differ when the same is built again")
    env: dict[str, str] = Field(default_factory=dict)
    workdir: str = "/"
    user: str = ""


class ImageManifest(Value):
    """An image's manifest.json."""

    name: Name
    digest: str = Field(description="SHA-256 of rootfs.ext4", pattern=r"^[0-9a-f]{64}$")
    size_bytes: int
    created: datetime
    origin: ImageOrigin


class ImageStore:
    """Reads and changes the images of one data folder."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.images_dir
        self._kept = KeptImages(settings.images_dir)

    def list(self) -> list[Image]:
        """All images by name; one that can't be used says so in ``problem``."""
        if not self.folder.is_dir():
            return []
        names = sorted(path.name for path in self.folder.iterdir() if re.fullmatch(NAME_PATTERN, path.name))
        return [image for name in names if (image := _checked(self.folder / name, name)) is not None]

    def get(self, name: str) -> Image:
        """A usable image. Raises NotFoundError, and NotReadyError for a damaged one."""
        image = self.check(name)
        if image.problem is not None:
            raise NotReadyError(
                f"The image {name} can't be used: {image.problem}", remedy=f"Build it again: {_build_command(name)}"
            )
        return image

    def check(self, name: str) -> Image:
        """The image with what a look at its manifest and size tells. Raises NotFoundError."""
        if not re.fullmatch(NAME_PATTERN, name) or (image := _checked(self.folder / name, name)) is None:
            known = ", ".join(path.name for path in sorted(self.folder.glob("[!.]*"))) or "none"
            raise NotFoundError(
                f"There is no image {name[:80]!r}", remedy=f"Images here: {known}. Build one: {_build_command('NAME')}"
            )
        return image

    def find(self, name: str, digest: str) -> Image:
        """The build of an image that has this digest: the newest, or an older one that was kept.

        That is called NAME@DIGEST, as its folder, so that what is said of it is not taken for the newest; ``name`` may
        be either. Raises NotFoundError.
        """
        name = plain_name(name)
        with suppress(NotFoundError):
            if (newest := self.check(name)).digest == digest:
                return newest
        if re.fullmatch(NAME_PATTERN, name):
            older = _checked(self._kept.place(name, digest), name)
            if older is not None and older.digest == digest:
                return older
        raise NotFoundError(
            f"The build {digest[:12]} of image {name[:80]!r} is not here", remedy="Make anew what was made of it"
        )

    def older(self) -> list[Image]:
        """Builds that were replaced and kept."""
        found = (_checked(folder, plain_name(folder.name)) for folder in self._kept.all())
        return [image for image in found if image is not None]

    def remove_older(self, image: Image) -> None:
        """Remove one of ``older``. Raises NotReadyError."""
        self._kept.remove(Path(image.path).parent)

    async def verify(self, name: str) -> Image:
        """As ``check``, and the whole content against its digest (about 0.3 s per 100 MB)."""
        image = self.check(name)
        if image.problem is None and await in_thread(sha256_file, Path(image.path)) != image.digest:
            return image.model_copy(update={"problem": f"{ROOTFS} is not what it was built as"})
        return image

    async def put(self, name: str, build: Callable[[Path], Awaitable[ImageOrigin]]) -> Image:
        """Make the image ``name`` of the file that ``build`` writes to the path it is given.

        An older image of that name is replaced when all went well, and stays otherwise. One with another digest is
        among ``older`` then.
        Raises InputError (bad name), NotReadyError (disk full, not writable) and what ``build`` raises.
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise InputError(f"{name[:80]!r} is no image name", remedy="Lower case letters, digits, . _ + and -")
        async with staged_folder(self.folder / name) as folder:
            origin = await build(folder / ROOTFS)
            rootfs = folder / ROOTFS
            manifest = ImageManifest(
                name=name,
                digest=await in_thread(sha256_file, rootfs),
                size_bytes=rootfs.stat().st_size,
                created=datetime.now(UTC),
                origin=origin,
            )
            (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))
            await self._keep_older(name, manifest.digest)
        return self.get(name)

    def remove(self, name: str, users: Callable[[Image], Sequence[str]]) -> None:
        """Remove an image. ``users`` tells what uses it: "snapshot NAME", "VM ID".

        Raises NotFoundError, and ConflictError while it is used.
        """
        if using := users(self.check(name)):
            raise ConflictError(f"The image {name} is used by {', '.join(using)}", remedy="Remove or end these first")
        try:
            remove_folder(self.folder / name)
        except OSError as error:
            raise NotReadyError(
                f"The image {name} can't be removed: {error.strerror}", remedy=f"Check permissions of {self.folder}"
            ) from error

    async def _keep_older(self, name: str, digest: str) -> None:
        try:
            older = self.check(name)
        except NotFoundError:
            return
        if older.problem is None and older.digest != digest:
            await self._kept.keep(self.folder / name, older.digest)


def unpublished(name: str, rootfs: Path, origin: ImageOrigin) -> Image:
    """An image that is just being built, for who has to start it before it is in the store: it has no digest."""
    status = rootfs.stat()
    return Image(
        name=name,
        digest="",
        size_bytes=status.st_size,
        disk_bytes=status.st_blocks * 512,
        created=datetime.fromtimestamp(status.st_mtime, UTC),
        path=str(rootfs),
        **origin.model_dump(exclude={"installed"}),
    )


def _checked(folder: Path, name: str) -> Image | None:
    """What a look at manifest and size tells of the image in ``folder``, which is to be called ``name``.

    None where there is none, or none any more: one that is removed while it is looked at is not a damaged one.
    """
    try:
        image = _looked_at(folder, name)
    except FileNotFoundError:
        return None
    return image if image.problem is None or folder.is_dir() else None


def _looked_at(folder: Path, name: str) -> Image:
    rootfs = folder / ROOTFS
    try:
        manifest = ImageManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        reason = (error.strerror or "unreadable") if isinstance(error, OSError) else "not as vmdeck writes it"
        return _unreadable(folder, f"manifest.json: {reason}")
    try:
        status = rootfs.stat()
    except OSError as error:
        return _image(folder, manifest, 0, f"{ROOTFS}: {error.strerror}")
    problem = None
    if manifest.name != name:
        problem = f"its manifest is that of {manifest.name}"
    elif status.st_size != manifest.size_bytes:
        problem = f"{ROOTFS} has {status.st_size} bytes instead of {manifest.size_bytes}"
    return _image(folder, manifest, status.st_blocks * 512, problem)


def _image(folder: Path, manifest: ImageManifest, disk_bytes: int, problem: str | None) -> Image:
    return Image(
        name=folder.name,
        digest=manifest.digest,
        size_bytes=manifest.size_bytes,
        disk_bytes=disk_bytes,
        created=manifest.created,
        path=str(folder / ROOTFS),
        problem=problem,
        **manifest.origin.model_dump(exclude={"installed"}),
    )


def _unreadable(folder: Path, problem: str) -> Image:
    created = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return Image(
        name=folder.name, digest="", size_bytes=0, disk_bytes=0, created=created, source="", path=str(folder / ROOTFS),
        problem=problem,
    )  # fmt: skip


def _build_command(name: str) -> str:
    return f"vmdeck rootfs from-debian --name {name} --packages ..."
