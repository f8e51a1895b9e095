"""Kernel, initramfs and images, made for real from Debian's archive."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from pathlib import Path

import psutil
import pytest

from engine.errors import InputError
from engine.models import BuildImageRequest
from engine.rootfs import cpio
from engine.rootfs.debian import build_debian_image, host_suite
from engine.rootfs.initramfs import Initramfs, build_initramfs, installed_initramfs
from engine.rootfs.kernel import Kernel, fetch_packaged_kernel, installed_kernel, verify_kernel
from engine.rootfs.progress import silent
from engine.rootfs.staging import sha256_file
from engine.rootfs.store import ImageStore
from engine.settings import Settings

SYSTEM_PATH = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
SAYS_HELLO = b"""#!/usr/bin/python3 -ISE
import sys; sys.path.insert(0, "/agent")
import ctypes, json, selectors, socket, struct, traceback
from guest import protocol
print("HELLO", protocol.PROTOCOL_VERSION, sys.version.split()[0], flush=True)
ctypes.CDLL(None).reboot(0x1234567)
"""


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    found = installed_kernel(Settings())
    assert found is not None, "run `vmdeck setup` first"
    return found


@pytest.fixture(scope="module")
def initramfs(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Initramfs:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    return asyncio.run(build_initramfs(settings, kernel))


def test_both_forms_of_the_kernel_are_as_they_were_made(kernel: Kernel) -> None:
    assert kernel.vmlinux.read_bytes()[:4] == b"\x7fELF"
    assert verify_kernel(kernel) == []


async def test_a_kernel_that_is_here_is_not_fetched_again(kernel: Kernel) -> None:
    before = kernel.bzimage.stat().st_mtime_ns
    again = await fetch_packaged_kernel(Settings())
    assert again.bzimage.stat().st_mtime_ns == before or again.id != kernel.id


async def test_the_same_inputs_give_the_same_initramfs(kernel: Kernel, initramfs: Initramfs, tmp_path: Path) -> None:
    other = await build_initramfs(Settings(data_dir=tmp_path / "elsewhere"), kernel)
    assert other.path != initramfs.path
    assert other.manifest.inputs == initramfs.manifest.inputs
    assert sha256_file(other.path) == sha256_file(initramfs.path) == initramfs.digest


async def test_a_finished_initramfs_is_used_again(kernel: Kernel, initramfs: Initramfs) -> None:
    settings = Settings(data_dir=initramfs.path.parents[2])
    before = initramfs.path.stat().st_mtime_ns
    assert await build_initramfs(settings, kernel) == initramfs
    assert installed_initramfs(settings, kernel) == initramfs
    assert initramfs.path.stat().st_mtime_ns == before


def test_the_initramfs_is_small_and_holds_no_source(initramfs: Initramfs) -> None:
    archive = initramfs.path.read_bytes()
    assert len(archive) < 15_000_000
    assert not re.search(rb"\0(usr/lib|agent)/[^\0]{1,200}\.py\0", archive)


@pytest.mark.vm
@pytest.mark.parametrize("form", ["bzimage", "vmlinux"])
@pytest.mark.qemu
def test_both_kernels_reach_python_with_all_that_the_agent_imports(
    kernel: Kernel, initramfs: Initramfs, form: str, tmp_path: Path
) -> None:
    cpio.write(tmp_path / "init.cpio", {"init": cpio.file(SAYS_HELLO, 0o755)})
    # A later archive's files replace those of an earlier one.
    (tmp_path / "initrd").write_bytes(initramfs.path.read_bytes() + (tmp_path / "init.cpio").read_bytes())
    mhz = psutil.cpu_freq().current
    argv = [
        "qemu-system-x86_64", "-M", "microvm,pit=on,pic=on", "-accel", "tcg", "-cpu", "max", "-m", "256",
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-kernel", str(getattr(kernel, form)), "-initrd", str(tmp_path / "initrd"),
        "-append", f"console=ttyS0 quiet panic=-1 tsc_early_khz={int(mhz * 1000)}",
    ]  # fmt: skip
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert re.search(rb"HELLO 1 3\.\d+", done.stdout), done.stdout[-2000:] + done.stderr[-500:]


@pytest.fixture(scope="module")
def bash_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(data_dir=tmp_path_factory.mktemp("images"))
    request = BuildImageRequest(name="bash", packages=("bash",), languages=("bash",))
    image = asyncio.run(build_debian_image(settings, ImageStore(settings), request, silent))
    assert image.problem is None
    assert [path.name for path in settings.images_dir.iterdir()] == ["bash"]
    return Path(image.path)


def debugfs(image: Path, command: str) -> str:
    done = subprocess.run(["debugfs", "-R", command, image], capture_output=True, check=True, env=SYSTEM_PATH)
    return (done.stdout + done.stderr).decode(errors="replace")


def test_an_image_is_a_sound_file_system(bash_image: Path) -> None:
    done = subprocess.run(["e2fsck", "-fn", bash_image], capture_output=True, env=SYSTEM_PATH)
    assert done.returncode == 0, done.stdout


def test_an_image_is_configured(bash_image: Path) -> None:
    assert re.search(r"^root:[^:]*:0:0:", debugfs(bash_image, "cat /etc/passwd"))
    assert "ELF" in debugfs(bash_image, "cat /usr/bin/bash")[:8]


def test_an_image_says_nothing_of_the_host_that_built_it(bash_image: Path) -> None:
    for path in ("/etc/hostname", "/etc/resolv.conf"):
        assert "File not found" in debugfs(bash_image, f"stat {path}")


def test_an_image_is_small(bash_image: Path) -> None:
    assert bash_image.stat().st_size < 100 * 1024 * 1024


async def test_an_unknown_package_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    request = BuildImageRequest(name="bad", packages=("no-such-package-here",), suite=host_suite())
    with pytest.raises(InputError, match="no-such-package-here"):
        await build_debian_image(settings, ImageStore(settings), request, silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
async def test_cancelling_a_real_build_leaves_no_process_mount_or_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    extracting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def progress(line: str, fraction: float | None = None) -> None:
        if line.startswith("I: installing essential packages") and not extracting.done():
            extracting.set_result(None)

    request = BuildImageRequest(name="never", packages=("bash",))
    building = asyncio.create_task(build_debian_image(settings, ImageStore(settings), request, progress))
    await asyncio.wait({building, extracting}, return_when=asyncio.FIRST_COMPLETED)
    assert extracting.done(), "the build ended before it could be cancelled"
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert [path.name for path in settings.images_dir.iterdir()] == []
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert not [process for process in psutil.process_iter() if names(process, tmp_path)]


def names(process: psutil.Process, path: Path) -> bool:
    try:
        return any(str(path) in part for part in process.cmdline())
    except psutil.Error:  # ended meanwhile
        return False
