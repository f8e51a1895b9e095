"""Whose packages this host's apt offers: Debian's or Ubuntu's, and what differs between them for vmdeck, as data.

Hosts of a distribution that is made from one of these have its archive too.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HAS_ENTRY = re.compile(r"^(deb\s|URIs:)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive. In package names ``{arch}`` stands for its word for the architecture, ``{version}`` for a kernel's.

    ``meta`` depends on the newest kernel, whose package fits ``concrete``. The kernel's modules are in that package,
    or in those of ``modules``: all are taken, in order, until a guest has what it needs. ``derived_codename`` is the
    field of os-release that names the suite on distributions made from this one, ``sources`` where the archive stands
    in the host's apt, where mmdebstrap can't be left to find it. ``tools`` are packages by their program.
    """

    name: str
    title: str
    kernel: str
    meta: str
    concrete: str
    derived_codename: str
    modules: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def here(cls) -> Archive:
        """Of this host; Debian's where it is neither's kin."""
        release = os_release()
        kin = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
        return UBUNTU if UBUNTU.name in kin else DEBIAN

    def host_suite(self) -> str:
        """Codename of the suite that this host's own packages are of, "" where it does not say."""
        release = os_release()
        own = "VERSION_CODENAME" if release.get("ID") == self.name else self.derived_codename
        return release.get(own, "")

    def host_sources(self) -> Path | None:
        """The file of the host's apt that names this archive, for building from it. None: the builder knows better."""
        return next((path for path in self.sources if _names_an_archive(path)), None)


DEBIAN = Archive(
    name="debian",
    title="Debian",
    kernel="Debian's cloud kernel (about 27 MB)",
    meta="linux-image-cloud-{arch}",
    concrete=r"linux-image-(?P<version>\d\S*-cloud-{arch})",
    derived_codename="DEBIAN_CODENAME",
)
UBUNTU = Archive(
    name="ubuntu",
    title="Ubuntu",
    kernel="Ubuntu's kernel for virtual machines",
    meta="linux-image-virtual",
    concrete=r"linux-image-(?P<version>\d\S*-generic)",
    derived_codename="UBUNTU_CODENAME",
    modules=("linux-modules-{version}", "linux-modules-extra-{version}"),
    # mmdebstrap knows Ubuntu's suites only by another package's list, and of their components only the first.
    sources=(Path("/etc/apt/sources.list.d/ubuntu.sources"), Path("/etc/apt/sources.list")),
    tools={"zstd": "zstd"},  # its kernel and modules are packed so
)


def os_release() -> dict[str, str]:
    """/etc/os-release, empty where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _names_an_archive(path: Path) -> bool:
    try:
        return _HAS_ENTRY.search(path.read_text(errors="replace")) is not None
    except OSError:
        return False
