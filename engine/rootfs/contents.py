"""What is installed in a tree: Debian packages by dpkg's word, wheels and npm packages by their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InternalError
from engine.rootfs.regular_file import open_regular

_STATUS = "var/lib/dpkg/status"
_FIELD = re.compile(r"^(Package|Version|Architecture|Status): (.+)$", re.MULTILINE)
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DebianPackages:
    """Version and architecture of each installed package by its name."""

    by_name: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, tree: Path) -> DebianPackages:
        """Raises InternalError where dpkg has left no record."""
        try:
            with open_regular(tree / _STATUS, follow=False) as file:
                text = file.read(_MOST_BYTES).decode(errors="replace")
        except OSError as error:
            raise InternalError(f"The new tree has no record of its packages: {error.strerror}") from error
        fields = (dict(_FIELD.findall(paragraph)) for paragraph in text.split("\n\n"))
        return cls({
            each["Package"]: (each["Version"], each["Architecture"])
            for each in fields
            if each.get("Status", "").endswith(" installed")
        })  # fmt: skip

    def release(self, name: str) -> tuple[int, int] | None:
        """The first two numbers of a package's version, as ``(3, 11)``; None where it is not there."""
        if name not in self.by_name:
            return None
        match = re.match(r"(?:\d+:)?(\d+)\.(\d+)", self.by_name[name][0])
        return (int(match[1]), int(match[2])) if match else None

    def lines(self) -> Iterator[str]:
        """Package and version of each, by name."""
        for name, (version, _architecture) in sorted(self.by_name.items()):
            yield f"{name} {version}"

    def archives(self) -> Iterator[str]:
        """The names that apt gives the packages' files."""
        for name, (version, architecture) in self.by_name.items():
            yield f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"


def wheels(folder: Path) -> list[str]:
    """``name version`` of each wheel that was installed into ``folder``, sorted."""
    names = (path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
    return sorted(name.replace("-", " ", 1) for name in names)


def npm_packages(folder: Path) -> list[str]:
    """``name version`` of each npm package below ``folder``, sorted; those of one version once."""
    found: set[str] = set()
    for path in folder.rglob("node_modules/**/package.json"):
        above = path.parents[1]
        if (above.parent if above.name.startswith("@") else above).name != "node_modules":
            continue  # a part of a package
        try:
            described = json.loads(path.read_bytes())
            found.add(f"{described['name']} {described['version']}")
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it describes none
    return sorted(found)
