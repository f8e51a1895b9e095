"""A kernel that the operator brings, booted: with its modules, and without."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import InternalError
from engine.rootfs import own_kernel
from engine.rootfs.initramfs import build_initramfs
from engine.rootfs.kernel import Kernel, installed_kernel, verify_kernel
from engine.rootfs.own_kernel import examine, find_modules, install_own_kernel
from engine.settings import Settings
from tests.lab import FOLDER, PREFIX
from tests.running import run_python

pytestmark = pytest.mark.vm


@pytest.fixture
def own(prepared: Settings) -> Iterator[Settings]:
    """The images that setup made, and no kernel."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as name:
        home = Path(name)
        (home / "data").mkdir()
        (home / "data" / "images").symlink_to(prepared.images_dir)
        yield Settings(data_dir=home / "data", runtime_dir=home / "run")


@pytest.fixture
def debians(prepared: Settings) -> Kernel:
    kernel = installed_kernel(prepared)
    assert kernel is not None
    return kernel


async def bring(settings: Settings, file: Path) -> Kernel:
    brought = examine(file)
    modules = find_modules(brought.version, file.parent)
    kernel = await install_own_kernel(settings, brought, str(file), modules)
    await build_initramfs(settings, kernel)
    return kernel


async def test_a_bzimage_with_its_modules_beside_it_runs_code(own: Settings, debians: Kernel, tmp_path: Path) -> None:
    shutil.copy(debians.bzimage, tmp_path / "vmlinuz")
    shutil.copytree(debians.modules_dir, tmp_path / "modules")
    kernel = await bring(own, tmp_path / "vmlinuz")
    assert verify_kernel(kernel) == []
    async with Engine(own) as engine:
        result = await run_python(engine, "import os; print(os.uname().release)", boot="cold")
    assert (result.status, result.stdout) == ("success", f"{debians.version}\n")


@pytest.mark.nightly
async def test_a_kernel_that_needs_modules_and_has_none_says_what_is_missing(
    own: Settings, debians: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_kernel, "HOST_MODULES", tmp_path / "nowhere")
    shutil.copy(debians.vmlinux, tmp_path / "vmlinux")
    await bring(own, tmp_path / "vmlinux")
    async with Engine(own) as engine:
        with pytest.raises(InternalError, match="Booting the microVM failed") as caught:
            await run_python(engine, "pass", boot="cold")
    assert "the image's block device did not appear" in caught.value.remedy
