"""Which distribution this host runs, by /etc/os-release, and whether setup can install its packages."""

from __future__ import annotations

import platform
import shutil

APT_KIN = frozenset({"debian", "ubuntu"})


def os_release() -> dict[str, str]:
    """The fields, empty where there is no such file."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def kin() -> frozenset[str]:
    """Ids of this distribution and of those that it is made from; empty where it does not say."""
    release = os_release()
    return frozenset({release.get("ID", ""), *release.get("ID_LIKE", "").split()}) - {""}


def has_apt() -> bool:
    """Whether setup installs packages here: by apt on Debian, Ubuntu and their kin, and nowhere else."""
    return bool(kin() & APT_KIN) and shutil.which("apt-get") is not None
