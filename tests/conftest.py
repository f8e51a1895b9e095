"""What all tests share. Real parts come from the data folder that `vmdeck setup` has filled."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.models import BootMode
from engine.rootfs.initramfs import installed_initramfs
from engine.rootfs.kernel import installed_kernel
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from tests import metal
from tests.lab import made_lab
from tests.leaks import nothing_left  # noqa: F401 - a fixture of the whole session


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(metal.FLAG, action="store_true", help="on Firecracker and native KVM; without them all is skipped")


def pytest_configure(config: pytest.Config) -> None:
    metal.configure(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    metal.skip_what_cannot_run(config, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    metal.tell(config, terminalreporter)


@pytest.fixture(autouse=True)
def _no_config_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VMDECK_CONFIG_DIR", str(tmp_path / "config"))


def missing_for_vms(settings: Settings) -> str | None:
    """Why no microVM can be started here, None where one can."""
    if settings.vmm != "firecracker" and shutil.which("qemu-system-x86_64") is None:
        return "no qemu-system-x86_64 (install it: vmdeck setup)"
    kernel = installed_kernel(settings)
    if kernel is None or installed_initramfs(settings, kernel) is None:
        return f"no guest kernel and initramfs in {settings.data_dir} (make them: vmdeck setup)"
    if "python" not in {image.name for image in ImageStore(settings).list() if image.problem is None}:
        return f"no image 'python' in {settings.data_dir} (make it: vmdeck setup)"
    return None


@pytest.fixture(scope="session")
def prepared() -> Settings:
    """The settings whose data folder holds kernel, initramfs, image and snapshot. Skips, with the reason, without."""
    settings = Settings()
    if reason := missing_for_vms(settings):
        if os.environ.get("CI"):
            pytest.fail(f"CI must be able to start microVMs: {reason}")
        pytest.skip(reason)
    return settings


@pytest.fixture
def lab(prepared: Settings) -> Iterator[Settings]:
    """A data and runtime folder of the test's own."""
    with made_lab(prepared) as settings:
        yield settings


@pytest.fixture
async def engine(lab: Settings) -> AsyncIterator[Engine]:
    """A real engine on real microVMs."""
    async with Engine(lab) as engine:
        yield engine


@pytest.fixture(params=["snapshot", "cold"])
def any_boot(request: pytest.FixtureRequest) -> BootMode:
    """A property of runs holds however the VM was started."""
    return request.param
