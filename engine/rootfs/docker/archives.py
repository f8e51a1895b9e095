"""Images in files: what docker save and its kin write, OCI layouts in a tar archive or a folder.

Layers are known by the digest of what they unpack to, and documents by theirs; nothing else in a file is believed.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from engine.errors import InputError
from engine.rootfs.docker.documents import (
    Config,
    Descriptor,
    Digest,
    Index,
    Manifest,
    Platform,
    Saved,
    parsed,
    settings,
)
from engine.rootfs.docker.members import Members, damaged
from engine.rootfs.docker.streams import Section
from engine.rootfs.docker.tree import parts_of
from engine.rootfs.regular_file import open_regular

_DOCUMENT_BYTES = 4 * 1024 * 1024
_SAVED_MEMBERS = 20_000  # hundreds at most; what has more is a file system
_NESTED = 3
_INDEXES = (".index.v1+json", ".manifest.list.v2+json")
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # of uname(2), in Go's words


@dataclass(frozen=True, slots=True)
class Layer:
    """``diff_id`` is the digest of the tar archive that ``open`` gives, packed or not."""

    open: Callable[[], io.BufferedReader]
    diff_id: Digest


@dataclass(frozen=True, slots=True)
class LayeredImage:
    """``id`` is the digest of its config, ``name`` what the file calls it, if it does."""

    name: str
    id: str
    config: Config
    layers: tuple[Layer, ...]

    def summary(self) -> dict[str, Any]:
        """What an image's manifest keeps of it."""
        return {"name": self.name, "id": self.id, **settings(self.config.config)}


class Files(Protocol):
    """Files by name. ``open`` raises InputError where there is none of that name."""

    def __contains__(self, name: object) -> bool: ...

    def open(self, name: str) -> io.BufferedReader: ...


class ArchivedFiles:
    """The files in a tar archive that is a file itself; empty for one with so many that it is a file system."""

    def __init__(self, archive: BinaryIO) -> None:
        self._archive = archive
        self._places: dict[str, tuple[int, int]] = {}
        links: dict[str, str] = {}
        for count, member in enumerate(Members(archive, seeks=True)):
            name = posixpath.normpath(member.name)
            if count == _SAVED_MEMBERS:
                self._places = {}
                return
            if member.isreg() and not member.issparse():
                self._places[name] = (member.offset_data, member.size)
            elif member.issym():  # Docker before 25 writes a layer that is there twice so
                links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        self._places |= {name: self._places[target] for name, target in links.items() if target in self._places}

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def open(self, name: str) -> io.BufferedReader:
        place = self._places.get(posixpath.normpath(name))
        if place is None:
            raise _absent(name)
        return io.BufferedReader(Section(self._archive, *place), 256 * 1024)


class FolderFiles:
    """The files of a folder; links are not followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, name: object) -> bool:
        return (self._folder / str(name)).is_file()

    def open(self, name: str) -> io.BufferedReader:
        try:
            path = self._folder.joinpath(*map(os.fsdecode, parts_of(name)))
            return cast(io.BufferedReader, open_regular(path, follow=False))
        except OSError as error:
            raise _absent(f"{name} ({error.strerror})") from None


def image_in(files: Files, wanted: str | None) -> LayeredImage | None:
    """The image called ``wanted``, or the only one; None where ``files`` are no images at all.

    Raises InputError where it is not there, not for this host's CPU, or where its documents are damaged.
    """
    if "manifest.json" in files:
        return _saved(files, wanted)
    if "index.json" in files:
        return _laid_out(files, wanted)
    if "repositories" in files:
        raise InputError(
            "The archive is of a Docker before 1.10, which named its layers otherwise",
            remedy="Load it into a Docker engine of today and save it again",
        )
    return None


# --- docker save


def _saved(files: Files, wanted: str | None) -> LayeredImage:
    images = parsed(tuple[Saved, ...], _read(files, "manifest.json"), "manifest.json")
    found = [image for image in images if wanted is None or any(same(wanted, tag) for tag in image.tags or ())]
    if len(found) != 1:
        raise _choose(wanted, [tag for image in images for tag in image.tags or ("one without a name",)])
    image = found[0]
    text = _read(files, image.config)
    config = _config(text)
    name = wanted or next(iter(image.tags or ()), "")
    return LayeredImage(name, _digest(text), config, _layers(files, config, image.layers))


def _layers(files: Files, config: Config, names: tuple[str, ...]) -> tuple[Layer, ...]:
    diff_ids = config.rootfs.diff_ids
    if len(names) != len(diff_ids):
        raise InputError(f"The image has {len(names)} layers and names {len(diff_ids)}", remedy="Make the archive anew")
    return tuple(Layer(partial(files.open, name), diff_id) for name, diff_id in zip(names, diff_ids, strict=True))


# --- OCI layouts


def _laid_out(files: Files, wanted: str | None) -> LayeredImage:
    index = parsed(Index, _read(files, "index.json"), "index.json")
    named = [(_name(each), each) for each in index.manifests]
    chosen = [each for name, each in named if wanted is None or same(wanted, name)]
    fitting = {each.digest: each for each in _leaves(files, chosen) if _fits(each.platform)}
    if not chosen or len(fitting) > 1:
        raise _choose(wanted, [name or each.digest for name, each in named])
    if not fitting:
        raise _foreign("other platforms")
    manifest = parsed(Manifest, _blob(files, *fitting), "manifest")
    config = _config(_blob(files, manifest.config.digest))
    name = wanted or next(name for name, each in named if each in chosen)
    layers = _layers(files, config, tuple(_blob_name(layer.digest) for layer in manifest.layers))
    return LayeredImage(name, manifest.config.digest, config, layers)


def _leaves(files: Files, descriptors: Iterable[Descriptor], depth: int = 0) -> Iterator[Descriptor]:
    """Manifests of images, those in nested indexes too."""
    for each in descriptors:
        if not each.media_type.endswith(_INDEXES):
            yield each
        elif depth < _NESTED:
            nested = parsed(Index, _blob(files, each.digest), "nested index")
            yield from _leaves(files, nested.manifests, depth + 1)


def _name(descriptor: Descriptor) -> str:
    annotations = descriptor.annotations or {}
    return next((annotations[key] for key in _NAMES if key in annotations), "")


def _blob_name(digest: Digest) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _blob(files: Files, digest: Digest) -> bytes:
    text = _read(files, _blob_name(digest))
    if _digest(text) != digest:
        raise damaged(f"the document {digest} has another digest")
    return text


# --- what both need


def same(wanted: str, name: str) -> bool:
    """Two names of one image: a registry's default parts may be left out."""
    return wanted == name or _full(wanted) == _full(name)


def _full(name: str) -> str:
    short = name.removeprefix("docker.io/").removeprefix("library/")
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"


def _fits(found: Platform | None) -> bool:
    return found is None or (found.os, found.architecture) == ("linux", architecture())


def fitting(system: str, cpu: str) -> None:
    """Raises InputError where an image for these does not run here."""
    if (system, cpu) != ("linux", architecture()):
        raise _foreign(f"{system}/{cpu}")


def architecture() -> str:
    """This host's, as images name it: amd64, arm64 ..."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def _config(text: bytes) -> Config:
    config = parsed(Config, text, "config")
    fitting(config.os, config.architecture)
    return config


def _read(files: Files, name: str) -> bytes:
    with files.open(name) as file:
        text = file.read(_DOCUMENT_BYTES + 1)
    if len(text) > _DOCUMENT_BYTES:
        raise damaged(f"{name} has more than {_DOCUMENT_BYTES} bytes")
    return text


def _digest(text: bytes) -> str:
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def _absent(name: str) -> InputError:
    return damaged(f"there is no file {name[:200]!r} in it")


def _foreign(found: str) -> InputError:
    return InputError(
        f"The image is for {found}, and this host is linux/{architecture()}",
        remedy=f"Take one for this host: docker pull --platform linux/{architecture()}",
    )


def _choose(wanted: str | None, names: Sequence[str]) -> InputError:
    there = ", ".join(names[:10]) or "none"
    if wanted is None:
        return InputError(f"There is not one image in the archive: {there}", remedy="Name the one to take: --image")
    return InputError(f"The archive has no image {wanted!r}", remedy=f"Images in it: {there}")
