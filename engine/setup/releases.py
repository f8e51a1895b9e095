"""The releases of Firecracker that setup may install: their archives and digests, as data in releases.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import Field

from engine.errors import NotReadyError
from engine.host.firecracker_release import parsed, refuse_unfit
from engine.models import Value
from engine.setup.source import Source

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
_FILE = "releases.toml"


class Archive(Value):
    """One official archive."""

    version: Version
    arch: str
    sha256: Digest
    seen_in: int = Field(ge=2, description="independent projects that pin the same digest")


class Programs(Value):
    """The two programs in an archive of that release."""

    version: Version
    arch: str
    firecracker: Digest
    jailer: Digest


class Releases(Value):
    """What is pinned. ``arch`` is as ``uname -m`` says."""

    default: Version
    site: str
    max_bytes: int = Field(gt=0, description="of an archive")
    archives: tuple[Archive, ...]
    programs: tuple[Programs, ...] = ()

    @classmethod
    @cache
    def shipped(cls) -> Releases:
        table = tomllib.loads(files("engine.setup").joinpath(_FILE).read_text())
        return cls.model_validate(table["firecracker"])

    def archive(self, version: str, arch: str) -> Archive | None:
        return next((each for each in self.archives if (each.version, each.arch) == (version, arch)), None)

    def archive_of(self, sha256: str) -> Archive | None:
        """The official archive of that digest."""
        return next((each for each in self.archives if each.sha256 == sha256), None)

    def programs_in(self, version: str, arch: str) -> Programs | None:
        return next((each for each in self.programs if (each.version, each.arch) == (version, arch)), None)

    def source(self, version: str, arch: str, mirror: str | None = None) -> Source:
        """Where to download that release, from the site or a ``mirror`` that serves the same paths.

        Raises NotReadyError where it is not pinned, or is of no use; InputError where ``mirror`` is no https URL.
        """
        refuse_unfit(version)
        pin = self.archive(version, arch)
        if pin is None:
            raise self.unpinned(version, arch)
        site = (mirror or self.site).rstrip("/")
        return Source(f"{site}/v{version}/{archive_name(version, arch)}", pin.sha256, self.max_bytes)

    def unpinned(self, version: str, arch: str) -> NotReadyError:
        known = sorted({each.version for each in self.archives if each.arch == arch}, key=parsed)
        releases = f"Take one of {', '.join(known)}; or b" if known else "B"
        return NotReadyError(
            f"vmdeck knows no digest of Firecracker {version} for {arch}, so it is not downloaded",
            remedy=f"{releases}ring its archive yourself: --firecracker FILE",
        )


def archive_name(version: str, arch: str) -> str:
    return f"firecracker-v{version}-{arch}.tgz"
