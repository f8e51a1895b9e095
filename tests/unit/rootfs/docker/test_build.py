"""From an archive to an image, by the processes that do it: what stays, and what goes when it fails or is cancelled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import InputError, NotReadyError
from engine.models import DockerImageRequest, Image
from engine.rootfs.docker.build import build_docker_image
from engine.rootfs.progress import Progress, silent
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from tests.unit.rootfs.docker.saved import Made, saved
from tests.unit.rootfs.docker.tars import Entry, file, folder, hard_link, link, tar

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="as a user it needs subordinate ids")
SYSTEM_PATH = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


async def built(settings: Settings, archive: bytes, progress: Progress = silent, **more: object) -> Image:
    path = settings.data_dir.with_name("archive.tar")
    path.write_bytes(archive)
    request = DockerImageRequest.model_validate({"name": "made", "tar": str(path), **more})
    return await build_docker_image(ImageStore(settings), request, progress)


def left(settings: Settings) -> list[str]:
    return sorted(str(path.relative_to(settings.images_dir)) for path in settings.images_dir.rglob("*"))


def tool(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=SYSTEM_PATH).stdout


MADE = ["made", "made/manifest.json", "made/rootfs.ext4"]


async def test_an_image_keeps_where_it_is_from_and_how_it_would_run(settings: Settings) -> None:
    image = await built(settings, saved(("app:1", Made([tar(file("x"))]))), size_mib=20, languages=("bash",))
    assert (image.source, image.source_id[:7], image.languages) == ("docker archive app:1", "sha256:", ("bash",))
    assert (image.env["GREETING"], image.workdir, image.user) == ("hello=world", "/srv", "app")
    assert image.size_bytes == 20 * 1024 * 1024
    assert left(settings) == MADE


async def test_whatever_is_unpacked_the_file_system_holds(settings: Settings) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000").decode("utf-8", "surrogateescape")
    image = await built(
        settings,
        tar(
            *(file("n" * 255), file("latin-\udce9"), file("a\nb"), file("/".join(["deep"] * 100))),
            *(
                file("lost+found"),
                Entry("pipe", tarfile.FIFOTYPE),
                link("way", "/etc/../../x"),
                hard_link("too", "a\nb"),
            ),
            *(file("cap", pax={"SCHILY.xattr.security.capability": capability}), folder("empty", uid=65534)),
            *(file("su", mode=0o4755), link("long", "x" * 4000), file("old", mtime=0), file("late", mtime=2**33)),
        ),
    )
    tool("e2fsck", "-fn", image.path)
    assert "security.capability (20)" in tool("debugfs", "-R", "ea_list /cap", image.path)


async def test_what_is_refused_leaves_nothing_and_the_older_image_stays(settings: Settings) -> None:
    older = await built(settings, tar(file("x")))
    with pytest.raises(InputError, match="leads out") as caught:
        await built(settings, tar(file("fine"), file("../../x")))
    assert caught.value.remedy
    assert left(settings) == MADE
    assert ImageStore(settings).get("made").digest == older.digest


async def test_an_archive_that_is_not_there_is_told(settings: Settings) -> None:
    with pytest.raises(InputError, match="No such file"):
        await built(settings, b"", tar="/nowhere/archive.tar")
    assert left(settings) == []


async def test_a_device_is_no_archive(settings: Settings) -> None:
    """It would never come to an end."""
    with pytest.raises(InputError, match="/dev/zero can't be read"):
        await built(settings, b"", tar="/dev/zero")


async def test_progress_only_grows(settings: Settings) -> None:
    seen: list[float] = []

    def progress(_line: str, fraction: float | None = None) -> None:
        if fraction is not None:
            seen.append(fraction)

    await built(settings, tar(*(file(f"f{number}", b"x" * 100_000) for number in range(50))), progress)
    assert seen == sorted(seen)
    assert (len(seen) > 20, seen[-1]) == (True, 1.0)


async def test_what_is_left_out_is_told(settings: Settings) -> None:
    told: list[str] = []
    await built(
        settings,
        tar(Entry("disk", tarfile.BLKTYPE), Entry("mem", tarfile.CHRTYPE), file("x")),
        lambda line, _fraction=None: told.append(line),
    )
    assert "Left out: device nodes (2)" in told


async def test_cancelling_amid_unpacking_leaves_nothing(settings: Settings) -> None:
    amid = asyncio.Event()

    def progress(_line: str, fraction: float | None = None) -> None:
        if fraction:
            amid.set()

    large = tar(Entry("large", tarfile.REGTYPE, b"x" * 64 * 1024 * 1024))
    building = asyncio.create_task(built(settings, large, progress))
    await asyncio.wait({building, waiting := asyncio.create_task(amid.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert (waiting.done(), building.done()) == (True, False)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert left(settings) == []


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Settings]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        yield Settings(data_dir=disk / "data")
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_is_told(full_disk: Settings, tmp_path: Path) -> None:
    archive = tmp_path / "large.tar"
    archive.write_bytes(tar(file("large", b"x" * 8 * 1024 * 1024)))
    request = DockerImageRequest(name="made", tar=str(archive))
    with pytest.raises(NotReadyError, match="space") as caught:
        await build_docker_image(ImageStore(full_disk), request, silent)
    assert "room" in caught.value.remedy
    assert left(full_disk) == []
