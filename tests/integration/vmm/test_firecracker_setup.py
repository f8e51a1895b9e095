"""Setup's step with the real programs, packed as the release site packs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.host.kvm import KvmVerdict
from engine.host.programs import firecracker_program
from engine.models import SetupOptions
from engine.rootfs.progress import silent
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from engine.setup.base import SetupContext
from engine.setup.firecracker import FirecrackerSetup, release_folder
from engine.setup.releases import Releases, archive_name
from tests.integration.vmm.lab import VERSION
from tests.unit.setup.releases import ARCH, member_name, members, packed


@pytest.fixture
def stick(binaries: Path, tmp_path: Path) -> Path:
    """A folder with an archive of the real programs. It is not the official one, but what is in it is."""
    real = {member_name(name, VERSION): (binaries / name).read_bytes() for name in ("firecracker", "jailer")}
    (tmp_path / archive_name(VERSION, ARCH)).write_bytes(packed(members(VERSION) | real))
    return tmp_path


@pytest.fixture
def by_programs() -> FirecrackerSetup:
    """Only the programs' own digests, as shipped, can vouch for that archive."""
    return FirecrackerSetup(Releases.shipped().model_copy(update={"archives": ()}), ARCH)


def context(settings: Settings, stick: Path) -> SetupContext:
    async def nothing(language: str) -> None:
        pytest.fail("this step makes no snapshot")

    async def kvm() -> KvmVerdict:
        return KvmVerdict(kind="native", detail="said by the test")

    options = SetupOptions(firecracker=VERSION, offline=str(stick))
    return SetupContext(settings, ImageStore(settings), nothing, nothing, kvm, options)


@pytest.mark.usefixtures("root")
async def test_the_real_programs_are_installed_and_then_found(
    stick: Path, by_programs: FirecrackerSetup, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    ctx = context(settings, stick)
    assert not (await by_programs.check(ctx)).done
    await by_programs.apply(ctx, silent)
    assert (await by_programs.check(ctx)).done
    found = await firecracker_program(settings)
    folder = release_folder(settings, VERSION)
    assert (found.version, found.path, found.jailer) == (VERSION, folder / "firecracker", folder / "jailer")


async def test_an_archive_packed_anew_is_not_the_official_one(stick: Path, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with pytest.raises(NotReadyError, match="is not the file that was expected"):
        await FirecrackerSetup(arch=ARCH).apply(context(settings, stick), silent)
    assert list(settings.vmm_dir.iterdir()) == []
