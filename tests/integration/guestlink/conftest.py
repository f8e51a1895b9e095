"""QEMU with a vsock device. Without one of its parts the tests are skipped, with the reason."""

from __future__ import annotations

import hashlib
import platform
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import platformdirs
import pytest
import pytest_asyncio

from engine.guestlink.guest import Guest
from engine.host.programs import find_qemu
from engine.rootfs.initramfs import installed_initramfs
from engine.rootfs.kernel import installed_kernel
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from engine.vmm.base import VmSpec
from tests.integration.guestlink.vsock_machine import DEADLINE_S, Programs, VsockMachine, running
from tests.lab import FOLDER, PREFIX

# Of a later Debian than the one that is the oldest we run on; its program needs no more than libc of that one.
VERSION = "0.3.0-2"
ARCHIVE = f"pool/main/r/rust-vhost-device-vsock/vhost-device-vsock_{VERSION}_amd64.deb"
ARCHIVE_SHA256 = "fd36382419cc174f00d9b1691486b581e13e8c1168dc339b86b2a65180a29ce7"
PROGRAM = "usr/bin/vhost-device-vsock"
PROGRAM_SHA256 = "4fb6ea5af81beaa5d86eb6f8260e72b924d5fc7074fb97f9d23a44b60d11a40a"
_APT_HELPER = "/usr/lib/apt/apt-helper"  # apt's own downloader, with this host's proxies and the like


def _mirrors() -> list[str]:
    """Debian's archive as this host's apt sources have it; all suites share its pool."""
    if shutil.which("apt-get") is None:
        return []
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    return list(dict.fromkeys(done.stdout.split()))


def _download(target: Path) -> None:
    """Fetch the package and take its program. Skips where it can't be had."""
    refused = "this host's apt sources name no archive of Debian"
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as work:
        archive = Path(work) / "package.deb"
        for mirror in _mirrors():
            fetch = [_APT_HELPER, "-o", "APT::Sandbox::User=root", "download-file", f"{mirror}{ARCHIVE}", str(archive)]
            done = subprocess.run(
                [*fetch, f"SHA256:{ARCHIVE_SHA256}"], capture_output=True, text=True, timeout=120, check=False
            )
            if done.returncode == 0:
                break
            refused = done.stderr.strip()
        else:
            pytest.skip(f"vhost-device-vsock {VERSION} can't be downloaded: {refused}")
        subprocess.run(["dpkg-deb", "-x", archive, f"{work}/unpacked"], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
        shutil.copy(Path(work) / "unpacked" / PROGRAM, partial)
        partial.rename(target)


@pytest.fixture(scope="session")
def vsock_device() -> Path:
    """The program that is a vsock device, of the pinned digest."""
    if platform.machine() != "x86_64":
        pytest.skip(f"the pinned vhost-device-vsock is not for {platform.machine()}")
    program = platformdirs.user_cache_path("vmdeck") / "tests" / f"vhost-device-vsock-{VERSION}" / "vhost-device-vsock"
    if not program.exists():
        _download(program)
    assert hashlib.sha256(program.read_bytes()).hexdigest() == PROGRAM_SHA256, f"{program} is not the release"
    return program


@pytest.fixture(scope="session")
def vsock_spec(prepared: Settings) -> VmSpec:
    """The image for Python, on the installed kernel and initramfs."""
    kernel = installed_kernel(prepared)
    assert kernel is not None
    initramfs = installed_initramfs(prepared, kernel)
    assert initramfs is not None
    image = Path(ImageStore(prepared).get("python").path)
    return VmSpec(256, 1, kernel.bzimage, kernel.vmlinux, initramfs.path, kernel.cmdline, (image,))


@pytest.fixture(scope="session")
def programs(prepared: Settings, vsock_device: Path) -> Programs:
    return Programs(find_qemu(prepared), vsock_device)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(programs: Programs, vsock_spec: VmSpec) -> AsyncIterator[VsockMachine]:
    """One for all tests of a module: each connects anew, and starts with an empty cell."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as home:
        async with running(Path(home), programs, vsock_spec) as machine:
            yield machine


@pytest_asyncio.fixture(loop_scope="module")
async def guest(machine: VsockMachine) -> AsyncIterator[Guest]:
    """Over a connection of its own, greeted."""
    guest = await machine.dial()
    try:
        await guest.hello(DEADLINE_S)
        yield guest
    finally:
        await guest.close()
