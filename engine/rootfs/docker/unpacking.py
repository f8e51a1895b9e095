"""The process that unpacks an image into a tree: ``python -m engine.rootfs.docker.unpacking``.

Nothing of an archive is read in the engine itself. As a user it runs in a namespace where it may give files to others.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import InputError
from engine.rootfs.docker import child
from engine.rootfs.docker.archives import ArchivedFiles, FolderFiles, LayeredImage, image_in
from engine.rootfs.docker.documents import settings
from engine.rootfs.docker.members import damaged
from engine.rootfs.docker.streams import Measured, unpacked
from engine.rootfs.docker.tree import Tree
from engine.rootfs.docker.unpack import Bounds, Unpacker
from engine.rootfs.regular_file import open_regular

_STREAM_BYTES = 2 * Bounds().file_bytes  # headers and padding included; a packed one must come to an end too
_MEMORY_BYTES = 4 * 1024**3  # lists of names; more is an attack
_PARTS = 100
_PIECE = 1024 * 1024


def unpack(tree: Path, source: Path | BinaryIO, image: str | None = None) -> dict[str, Any]:
    """Fill the empty folder ``tree`` from a file, a folder, or a stream; of several images in it take ``image``.

    Temporary files lie beside it, and have no name. Gives the image's settings and where it is from.
    Raises InputError, NotReadyError, OSError.
    """
    with ExitStack() as stack, Tree(tree) as filled:
        unpacker = Unpacker(filled)
        found = None
        if not isinstance(source, Path):
            _whole(unpacker, source, tree.parent)
        elif (opened := _opened(source, tree.parent, stack)) is None:
            found = image_in(FolderFiles(source), image)
            if found is None:
                raise InputError(f"{source} is no OCI layout", remedy="Name a folder with an index.json, or an archive")
        else:
            found = image_in(ArchivedFiles(opened), image)
            if found is None:
                opened.seek(0)
                _whole(unpacker, opened, tree.parent, os.fstat(opened.fileno()).st_size)
        if found is not None:
            _layered(unpacker, found, tree.parent)
        if not unpacker.members:
            raise damaged("there is nothing in it")
        for reason, count in filled.lost.items():
            child.say(f"Left out: {reason} ({count})")
    return {"name": "", "id": "", **settings(None)} if found is None else found.summary()


def _opened(source: Path, scratch: Path, stack: ExitStack) -> BinaryIO | None:
    """The archive as a file that is not packed; None for a folder."""
    if source.is_dir():
        return None
    try:
        file = stack.enter_context(open_regular(source))
    except OSError as error:
        raise InputError(f"{source} can't be read: {error.strerror}", remedy="Name an archive on this host") from None
    packed = stack.enter_context(unpacked(file, scratch))
    if packed is file:
        return file
    whole = stack.enter_context(tempfile.TemporaryFile(dir=scratch))  # noqa: SIM115 -- the stack is its block
    shutil.copyfileobj(Measured(packed, _STREAM_BYTES), whole, _PIECE)
    whole.seek(0)
    return whole


def _whole(unpacker: Unpacker, stream: BinaryIO, scratch: Path, size: int = 0) -> None:
    """``size`` is that of the stream, where it is known."""
    with unpacked(stream, scratch) as content:
        measured = Measured(content, _STREAM_BYTES, _telling(size))
        unpacker.whole(measured)
        measured.drain()  # whoever writes the stream is not to find it closed


def _layered(unpacker: Unpacker, image: LayeredImage, scratch: Path) -> None:
    for number, layer in enumerate(image.layers, 1):
        child.say(f"Unpacking layer {number} of {len(image.layers)}", (number - 1) / len(image.layers))
        with layer.open() as stream, unpacked(stream, scratch) as content:
            measured = Measured(content, _STREAM_BYTES)
            unpacker.layer(measured)
            measured.drain()
        if measured.digest != layer.diff_id:
            raise damaged(f"layer {number} is {measured.digest}, and should be {layer.diff_id}")


def _telling(size: int) -> Callable[[int], None]:
    """Says each hundredth of ``size`` once it is reached."""
    said = 0

    def tell(reached: int) -> None:
        nonlocal said
        if size and reached * _PARTS // size > said:
            said = reached * _PARTS // size
            child.say_reached(min(1.0, reached / size))

    return tell


def _work(arguments: Sequence[str]) -> Mapping[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--pipe", type=int)
    parser.add_argument("--path", type=Path)
    parser.add_argument("--image")
    asked = parser.parse_args(arguments)
    os.umask(0o022)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    memory = _MEMORY_BYTES if most == resource.RLIM_INFINITY else min(most, _MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    asked.tree.mkdir(mode=0o755)
    if asked.path is not None:
        return unpack(asked.tree, asked.path, asked.image)
    with os.fdopen(asked.pipe, "rb") as stream:
        return unpack(asked.tree, stream, asked.image)


if __name__ == "__main__":
    child.run(_work)
