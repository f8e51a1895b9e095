"""The manifests in a bucket: what an image or snapshot is, and how its files were packed.

They come from whoever may write to the bucket. All that is later used as a name, a size or an argument has a pattern
or a bound here, and the whole has at most a MiB.
"""

from __future__ import annotations

import json
import re
from typing import Literal, TypeVar, cast

from pydantic import ValidationError, model_validator

from engine.errors import NotReadyError
from engine.models import NAME_PATTERN, SignatureState, Value
from engine.objectstore import signature
from engine.objectstore.packing import SHA256, PackedFile
from engine.objectstore.signature import FIELD
from engine.rootfs.store import ImageManifest
from engine.snapshots.manifest import FileRecord, SnapshotManifest
from engine.vmm.firecracker import MACHINE
from engine.vmm.qemu_command import MACHINES

MAX_BYTES = 1024 * 1024
_MACHINES = {*MACHINES.values(), MACHINE}
_CPU_MODEL = re.compile(r"[A-Za-z0-9._-]{0,64}")
_DIGEST = re.compile(SHA256)
_MAX_TEXT = 4096


class UnfitError(NotReadyError):
    """A manifest in a bucket is none of this version, or not of its name."""


class SharedImage(Value):
    """``rootfs-<name>.manifest.json``."""

    format: Literal[1] = 1
    kind: Literal["image"] = "image"
    manifest: ImageManifest
    rootfs: PackedFile

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def packed_bytes(self) -> int:
        return self.rootfs.packed_bytes

    @model_validator(mode="after")
    def _one_content(self) -> SharedImage:
        if (self.manifest.digest, self.manifest.size_bytes) != (self.rootfs.sha256, self.rootfs.size_bytes):
            raise ValueError("the packed file is not that of the image")
        return self


class SharedSnapshot(Value):
    """``snapshots/<name>/manifest.json``. It names its image by digest, and does not hold it."""

    format: Literal[1] = 1
    kind: Literal["snapshot"] = "snapshot"
    manifest: SnapshotManifest
    state: PackedFile
    memory: PackedFile

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def packed_bytes(self) -> int:
        return self.state.packed_bytes + self.memory.packed_bytes

    @model_validator(mode="after")
    def _fit_for_use(self) -> SharedSnapshot:
        made = self.manifest
        if any(len(str(value)) > _MAX_TEXT for _, value in made):
            raise ValueError("a field of the snapshot is too long")
        if not re.fullmatch(NAME_PATTERN, made.image) or not _DIGEST.fullmatch(made.image_digest):
            raise ValueError("it does not name an image and its digest")
        # These two become arguments of a VMM, where a comma would begin another option.
        if made.machine not in _MACHINES or not _CPU_MODEL.fullmatch(made.cpu_model):
            raise ValueError("its machine or CPU is none that is made here")
        for packed, recorded in ((self.state, made.state), (self.memory, made.memory)):
            if not _is_of(packed, recorded):
                raise ValueError("a packed file is not that of the snapshot")
        return self


def _is_of(packed: PackedFile, recorded: FileRecord) -> bool:
    return (packed.sha256, packed.size_bytes) == (recorded.sha256, recorded.size)


Shared = TypeVar("Shared", SharedImage, SharedSnapshot)


def written(shared: SharedImage | SharedSnapshot, key: str) -> bytes:
    """As it is put into the bucket, signed where there is a ``key``."""
    document = cast("dict[str, object]", shared.model_dump(mode="json"))
    return json.dumps(signature.signed(document, key), indent=2).encode()


def read(data: bytes, kind: type[Shared], name: str, key: str) -> tuple[Shared, SignatureState]:
    """Raises UnfitError where it is no manifest of that kind and name."""
    try:
        parsed: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unfit(name, str(error)) from None
    if not isinstance(parsed, dict):
        raise _unfit(name, "it is no JSON object")
    document = cast("dict[str, object]", parsed)
    state = signature.judged(document, key)
    try:
        shared = kind.model_validate_json(
            json.dumps({field: value for field, value in document.items() if field != FIELD})
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _unfit(name, f"{where}: {first['msg']}" if where else first["msg"]) from None
    if shared.name != name:
        raise _unfit(name, f"it is that of {shared.name}")
    return shared, state


def _unfit(name: str, reason: str) -> UnfitError:
    return UnfitError(
        f"The manifest of {name} in the bucket can't be used: {reason[:300]}",
        remedy="Upload it anew, by this version of vmdeck",
    )
