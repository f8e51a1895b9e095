"""Older builds of images that snapshots go on to use: ``images/.kept/<name>@<digest>``, the digest shortened.

A snapshot has its image's bytes in its memory, so it runs on no other. A build that replaces an image puts the older
one here first, as links to its files: they are never altered, and take no further room.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.errors import NotReadyError
from engine.rootfs.staging import remove_folder, staged_folder

_FOLDER = ".kept"
_DIGEST_CHARS = 12


def plain_name(name: str) -> str:
    """Of an image, however old its build is."""
    return name.partition("@")[0]


class KeptImages:
    """Those of one store."""

    def __init__(self, images_dir: Path) -> None:
        self._folder = images_dir / _FOLDER

    def all(self) -> Iterator[Path]:
        """Their folders, by name."""
        with suppress(FileNotFoundError):
            yield from sorted(path for path in self._folder.iterdir() if re.match(r"[^.][^@]*@", path.name))

    def place(self, name: str, digest: str) -> Path:
        """Where the build of that digest would be."""
        return self._folder / f"{name}@{digest[:_DIGEST_CHARS]}"

    async def keep(self, image: Path, digest: str) -> None:
        """Raises NotReadyError where that can't be."""
        place = self.place(image.name, digest)
        if place.exists():
            return
        if image.is_symlink():  # it lies elsewhere, and stays there
            self._folder.mkdir(exist_ok=True)
            place.symlink_to(image.resolve())
            return
        async with staged_folder(place) as folder:
            for file in image.iterdir():
                os.link(file, folder / file.name)

    def remove(self, place: Path) -> None:
        """Raises NotReadyError."""
        try:
            if place.is_symlink():
                place.unlink()
            else:
                remove_folder(place)
            with suppress(OSError):  # others are there
                self._folder.rmdir()
        except OSError as error:
            raise NotReadyError(
                f"The older build {place.name} can't be removed: {error.strerror}",
                remedy=f"Check permissions of {self._folder}",
            ) from error
