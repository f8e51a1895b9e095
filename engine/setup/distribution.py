"""Which distribution this host runs, and how others than Debian's kin install what vmdeck needs, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.rootfs import command
from engine.rootfs.archive import DEBIAN, UBUNTU, os_release

BY_PACKAGE = frozenset({DEBIAN.name, UBUNTU.name})


@dataclass(frozen=True, slots=True)
class Distribution:
    """As /etc/os-release has it."""

    name: str
    kin: frozenset[str]

    @classmethod
    def here(cls) -> Distribution:
        told = os_release()
        if not told:
            return cls("a system without os-release", frozenset())
        kin = frozenset({told.get("ID", ""), *told.get("ID_LIKE", "").split()})
        return cls(told.get("PRETTY_NAME") or told.get("NAME") or "this system", kin)

    @property
    def by_package(self) -> bool:
        """Whether setup may install here by apt."""
        return bool(self.kin & BY_PACKAGE) and command.find("apt-get") is not None


@dataclass(frozen=True, slots=True)
class Installer:
    """Another distribution's package manager, with its names for Debian's packages. "" where it has none."""

    program: str
    install: str
    names: Mapping[str, str]


_COMMON = {"mmdebstrap": "", "e2fsprogs": "e2fsprogs", "dpkg": "dpkg", "apt": "apt", "uidmap": "shadow"}
INSTALLERS = (
    Installer(
        "dnf",
        "dnf install",
        {
            **_COMMON,
            "qemu-system-x86": "qemu-system-x86-core",
            "qemu-system-arm": "qemu-system-aarch64-core",
            "mmdebstrap": "mmdebstrap",
            "uidmap": "shadow-utils",
            "docker.io": "moby-engine",
        },
    ),
    Installer(
        "zypper",
        "zypper install",
        {**_COMMON, "qemu-system-x86": "qemu-x86", "qemu-system-arm": "qemu-arm", "apt": "", "docker.io": "docker"},
    ),
    Installer(
        "pacman",
        "pacman -S --needed",
        {
            **_COMMON,
            "qemu-system-x86": "qemu-system-x86",
            "qemu-system-arm": "qemu-system-aarch64",
            "docker.io": "docker",
        },
    ),
    Installer(
        "apk",
        "apk add",
        {
            **_COMMON,
            "qemu-system-x86": "qemu-system-x86_64",
            "qemu-system-arm": "qemu-system-aarch64",
            "apt": "",
            "uidmap": "shadow-uidmap",
            "docker.io": "docker",
        },
    ),
)


def instructions(packages: Sequence[str]) -> tuple[str, ...]:
    """Commands that an operator of this host, which has no apt, would run for Debian's ``packages``."""
    here = [each for each in INSTALLERS if command.find(each.program)] or list(INSTALLERS)
    return tuple(line for each in here for line in _lines(each, packages))


def _lines(installer: Installer, packages: Sequence[str]) -> list[str]:
    names = [name for package in packages if (name := installer.names.get(package, ""))]
    absent = [package for package in packages if not installer.names.get(package)]
    lines = [f"{installer.install} {' '.join(names)}"] if names else []
    if absent:
        lines.append(f"{installer.program} has no package for {', '.join(absent)}: install it from its source")
    return lines
