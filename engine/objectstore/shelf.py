"""What lies in a bucket: the manifests of images and snapshots, found, judged, put there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from engine.errors import NotFoundError, NotReadyError
from engine.models import SignatureState
from engine.objectstore import manifest
from engine.objectstore.bucket import AT_ONCE, Bucket
from engine.objectstore.faults import ObjectMissingError
from engine.objectstore.manifest import SharedImage, SharedSnapshot
from engine.objectstore.parallel import in_order
from engine.objectstore.place import ImageKeys
from engine.settings import Settings
from engine.snapshots.manifest import SnapshotManifest

Shared = TypeVar("Shared", SharedImage, SharedSnapshot)


@dataclass(frozen=True, slots=True)
class Found(Generic[Shared]):
    """A manifest and what its signature is worth. One that can't be used has a ``problem`` and no ``shared``."""

    name: str
    shared: Shared | None
    signature: SignatureState
    problem: str | None
    lacks: str | None = None
    """Of a snapshot: why its image can't be had from there."""


@dataclass(frozen=True, slots=True)
class FoundImage:
    keys: ImageKeys
    shared: SharedImage
    signature: SignatureState


class Shelf:
    """Blocks. ``key`` signs what is put and judges what is found."""

    def __init__(self, bucket: Bucket, settings: Settings) -> None:
        self.bucket = bucket
        self._key = settings.signature_key
        self._required = settings.require_signature == "on"

    # --- one

    def image(self, name: str) -> tuple[SharedImage, SignatureState]:
        """Raises ObjectMissingError, NotReadyError where the manifest is none."""
        return self._image_at(self.bucket.place.image(name), name)

    def _image_at(self, keys: ImageKeys, name: str) -> tuple[SharedImage, SignatureState]:
        return manifest.read(self.bucket.small(keys.manifest, manifest.MAX_BYTES), SharedImage, name, self._key)

    def snapshot(self, name: str) -> tuple[SharedSnapshot, SignatureState]:
        data = self.bucket.small(self.bucket.place.snapshot_manifest(name), manifest.MAX_BYTES)
        return manifest.read(data, SharedSnapshot, name, self._key)

    def trusted_image(self, names: Sequence[str]) -> SharedImage:
        """The image of the first of these names, else the first that serves a language of one of them.

        Raises NotFoundError, and NotReadyError where its signature does not do.
        """
        for name in names:
            try:
                shared, signature = self.image(name)
            except ObjectMissingError:
                continue
            self._require(name, signature)
            return shared
        for found in self.images():
            if found.shared is not None and set(names) & set(found.shared.manifest.origin.languages):
                self._require(found.name, found.signature)
                return found.shared
        raise NotFoundError(
            f"There is no image {names[0]} in {self.bucket.place}", remedy="List them: vmdeck rootfs list --remote"
        )

    def trusted_snapshot(self, name: str) -> SharedSnapshot:
        try:
            shared, signature = self.snapshot(name)
        except ObjectMissingError:
            raise NotFoundError(
                f"There is no snapshot {name} in {self.bucket.place}",
                remedy="List them: vmdeck snapshot list --remote",
            ) from None
        self._require(name, signature)
        return shared

    def whole_image(self, keys: ImageKeys, name: str, digest: str) -> bool:
        """Whether that image is there, signed as it would be by us. Its object is looked at, not read."""
        try:
            shared, signature = self._image_at(keys, name)
            size = self.bucket.held(keys.content).size
        except (ObjectMissingError, manifest.UnfitError):
            return False
        wanted: SignatureState = "valid" if self._key else signature
        return (shared.rootfs.sha256, size, signature) == (digest, shared.packed_bytes, wanted)

    # --- the images of snapshots

    def image_of(self, made: SnapshotManifest) -> FoundImage | None:
        """The very image that a snapshot was made from, one that may be taken before another."""
        found = self._images_of(made)
        return min(found, key=lambda each: self._distrust(each.signature) is not None, default=None)

    def _images_of(self, made: SnapshotManifest) -> list[FoundImage]:
        found: list[FoundImage] = []
        for keys in self._places(made):
            try:
                shared, signature = self._image_at(keys, made.image)
            except (ObjectMissingError, manifest.UnfitError):
                continue
            if shared.rootfs.sha256 == made.image_digest:
                found.append(FoundImage(keys, shared, signature))
        return found

    def trusted_image_of(self, made: SnapshotManifest) -> FoundImage:
        """Raises NotReadyError where it is not there, or its signature does not do."""
        if (found := self.image_of(made)) is None:
            raise NotReadyError(
                f"Snapshot {made.name} needs {_named(made)}, and {self.bucket.place} does not have it",
                remedy="Upload the snapshot anew from a host that has its image",
            )
        self._require(made.image, found.signature)
        return found

    def place_for_image_of(self, made: SnapshotManifest, *, newest: bool) -> ImageKeys | None:
        """Where a snapshot's image is to be put, None where it is there whole.

        Below the snapshot's own keys it goes where the shared one is another, that others may need, and where it is
        not the ``newest`` build, that others should get.
        """
        shared, own = self._places(made)
        if any(self.whole_image(keys, made.image, made.image_digest) for keys in (shared, own)):
            return None
        try:
            there, _ = self._image_at(shared, made.image)
        except ObjectMissingError:
            return shared if newest else own
        except manifest.UnfitError:
            return own
        return shared if there.rootfs.sha256 == made.image_digest else own

    def left_without(self, name: str, digest: str) -> list[str]:
        """Snapshots there that would have no image any more if that of ``name`` became one of ``digest``."""
        try:
            there, _ = self.image(name)
        except (ObjectMissingError, manifest.UnfitError):
            return []
        if there.rootfs.sha256 == digest:
            return []
        shared = self.bucket.place.image(name)
        made = (each.shared.manifest for each in self.snapshots() if each.shared is not None)
        using = (each for each in made if (each.image, each.image_digest) == (name, there.rootfs.sha256))
        return [each.name for each in using if all(found.keys == shared for found in self._images_of(each))]

    def _places(self, made: SnapshotManifest) -> tuple[ImageKeys, ImageKeys]:
        return self.bucket.place.image(made.image), self.bucket.place.image_of_snapshot(made.name)

    # --- all

    def images(self) -> list[Found[SharedImage]]:
        place = self.bucket.place
        names = [name for key in self.bucket.keys(place.images) if (name := place.image_name(key))]
        return self._found(names, partial(self._judged, read=self.image))

    def snapshots(self) -> list[Found[SharedSnapshot]]:
        place = self.bucket.place
        names = [name for key in self.bucket.keys(place.snapshots) if (name := place.snapshot_name(key))]
        return self._found(names, self._judged_snapshot)

    def _found(self, names: Sequence[str], judged: Callable[[str], Found[Shared] | None]) -> list[Found[Shared]]:
        calls = (partial(judged, name) for name in sorted(names))
        with closing(in_order(calls, AT_ONCE, self.bucket.stop.child())) as each:
            return [found for found in each if found is not None]

    def _judged(self, name: str, read: Callable[[str], tuple[Shared, SignatureState]]) -> Found[Shared] | None:
        """None for what has no manifest: an upload that has not come to its end."""
        try:
            shared, signature = read(name)
        except ObjectMissingError:
            return None
        except manifest.UnfitError as error:
            return Found(name, None, "none", error.message)
        return Found(name, shared, signature, self._distrust(signature))

    def _judged_snapshot(self, name: str) -> Found[SharedSnapshot] | None:
        found = self._judged(name, self.snapshot)
        if found is None or found.shared is None:
            return found
        made = found.shared.manifest
        if (image := self.image_of(made)) is None:
            return replace(found, lacks=f"{_named(made)}, which it needs, is not there")
        distrust = self._distrust(image.signature)
        return replace(found, lacks=f"image {made.image}, which it needs: {distrust}") if distrust else found

    # --- put

    def put_image(self, keys: ImageKeys, shared: SharedImage) -> None:
        self.bucket.put(keys.manifest, manifest.written(shared, self._key))

    def put_snapshot(self, shared: SharedSnapshot) -> None:
        self.bucket.put(self.bucket.place.snapshot_manifest(shared.name), manifest.written(shared, self._key))

    # --- trust

    def _require(self, name: str, signature: SignatureState) -> None:
        if (reason := self._distrust(signature)) is not None:
            raise NotReadyError(
                f"{name} in {self.bucket.place} is not taken: {reason}",
                remedy="Upload it anew from a host with the same signature_key, or set require_signature to off"
                if signature != "wrong"
                else "Someone without your signature_key wrote it, or the key is another: upload it anew",
            )

    def _distrust(self, signature: SignatureState) -> str | None:
        """Why the settings here do not let it be taken, None where they do."""
        if signature == "wrong":
            return "its signature is not that of the key here (signature_key)"
        if not self._required or signature == "valid":
            return None
        if not self._key:
            return "require_signature is on, and there is no signature_key here to check one with"
        return "it has no signature, and require_signature is on"


def _named(made: SnapshotManifest) -> str:
    return f"image {made.image} of digest {made.image_digest[:12]}"
