"""Release archives made for tests: two scripts that answer --version, packed as the release site packs the programs."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping

from engine.setup.releases import Archive, Programs, Releases

VERSION, ARCH = "1.17.0", "x86_64"
TITLES = {"firecracker": "Firecracker", "jailer": "Jailer"}


def program(name: str, version: str = VERSION) -> bytes:
    return f"#!/bin/sh\necho '{TITLES[name]} v{version}'\n".encode()


def member_name(name: str, version: str = VERSION, arch: str = ARCH) -> str:
    return f"release-v{version}-{arch}/{name}-v{version}-{arch}"


def members(version: str = VERSION, arch: str = ARCH) -> dict[str, bytes]:
    """What an official archive holds, by name."""
    return {
        f"release-v{version}-{arch}/LICENSE": b"license\n",
        member_name("firecracker", version, arch): program("firecracker", version),
        member_name("firecracker", version, arch) + ".debug": b"\x7fELF symbols",
        member_name("jailer", version, arch): program("jailer", version),
        f"release-v{version}-{arch}/SHA256SUMS": b"sums\n",
    }


def packed(content: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    """A .tgz of these members, the same bytes each time but for the time in its header."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in content.items():
            if isinstance(data, tarfile.TarInfo):
                tar.addfile(data, io.BytesIO(bytes(data.size)))
            else:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def table(*archives: bytes, site: str = "https://releases.invalid", version: str = VERSION) -> Releases:
    """Releases of which these archives are pinned, all as ``version``."""
    pins = tuple(
        Archive(version=version, arch=ARCH, sha256=hashlib.sha256(each).hexdigest(), seen_in=2) for each in archives
    )
    return Releases(default=version, site=site, max_bytes=8_000_000, archives=pins)


def programs(firecracker: bytes, jailer: bytes, version: str = VERSION) -> Programs:
    digests = (hashlib.sha256(each).hexdigest() for each in (firecracker, jailer))
    return Programs(version=version, arch=ARCH, **dict(zip(TITLES, digests, strict=True)))
