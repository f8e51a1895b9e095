"""The real Firecracker and jailer, and what they start from. Without them the tests are skipped, with the reason."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.rootfs.kernel import installed_kernel
from engine.settings import Settings
from engine.vmm.base import MachineState
from engine.vmm.firecracker import Firecracker
from tests import firecracker_release
from tests.firecracker_release import NoFirecrackerError
from tests.integration.vmm.lab import Lab, machine_state


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder with firecracker and jailer, of the pinned digests."""
    try:
        firecracker_release.require_kvm()
        return firecracker_release.release()
    except NoFirecrackerError as error:
        pytest.skip(str(error))


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
