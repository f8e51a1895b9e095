"""What lies in a bucket: the manifests of images and snapshots, found, judged, put there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from engine.errors import NotFoundError, NotReadyError
from engine.models import SignatureState
from engine.objectstore import manifest
from engine.objectstore.bucket import AT_ONCE, Bucket
from engine.objectstore.faults import ObjectMissingError
from engine.objectstore.manifest import SharedImage, SharedSnapshot
from engine.objectstore.parallel import in_order
from engine.settings import Settings

Shared = TypeVar("Shared", SharedImage, SharedSnapshot)


@dataclass(frozen=True, slots=True)
class Found(Generic[Shared]):
    """A manifest and what its signature is worth. One that can't be used has a ``problem`` and no ``shared``."""

    name: str
    shared: Shared | None
    signature: SignatureState
    problem: str | None


class Shelf:
    """Blocks. ``key`` signs what is put and judges what is found."""

    def __init__(self, bucket: Bucket, settings: Settings) -> None:
        self.bucket = bucket
        self._key = settings.signature_key
        self._required = settings.require_signature == "on"

    # --- one

    def image(self, name: str) -> tuple[SharedImage, SignatureState]:
        """Raises ObjectMissingError, NotReadyError where the manifest is none."""
        data = self.bucket.small(self.bucket.place.image_manifest(name), manifest.MAX_BYTES)
        return manifest.read(data, SharedImage, name, self._key)

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

    def whole_image(self, name: str, digest: str) -> bool:
        """Whether that image is there, signed as it would be by us. Its object is looked at, not read."""
        place = self.bucket.place
        try:
            shared, signature = self.image(name)
            size = self.bucket.held(place.image(name)).size
        except (ObjectMissingError, manifest.UnfitError):
            return False
        wanted: SignatureState = "valid" if self._key else signature
        return (shared.rootfs.sha256, size, signature) == (digest, shared.packed_bytes, wanted)

    # --- all

    def images(self) -> list[Found[SharedImage]]:
        place = self.bucket.place
        names = [name for key in self.bucket.keys(place.images) if (name := place.image_of(key))]
        return self._found(names, self.image)

    def snapshots(self) -> list[Found[SharedSnapshot]]:
        place = self.bucket.place
        names = [name for key in self.bucket.keys(place.snapshots) if (name := place.snapshot_of(key))]
        return self._found(names, self.snapshot)

    def _found(self, names: Sequence[str], read: Callable[[str], tuple[Shared, SignatureState]]) -> list[Found[Shared]]:
        calls = (partial(self._judged, name, read) for name in sorted(names))
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

    # --- put

    def put_image(self, shared: SharedImage) -> None:
        self.bucket.put(self.bucket.place.image_manifest(shared.name), manifest.written(shared, self._key))

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
