"""Building images with a stand-in for mmdebstrap, to meet its failures and its slowness at will."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from engine.errors import InputError, InternalError, NotReadyError, VmdeckError
from engine.models import BuildImageRequest
from engine.rootfs import command, debian, debian_tree
from engine.rootfs.progress import silent
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from tests.unit.rootfs.builders import MAKES_A_TREE, UNSHARE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a program mmdebstrap, a shell script, that is found before the real one; unshare makes no namespaces, and
    commands for the inside of the tree do nothing."""
    programs = tmp_path / "programs"
    programs.mkdir()

    def write(script: str) -> None:
        program = programs / "mmdebstrap"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    unshare = programs / "unshare"
    unshare.write_text(f"#!/bin/sh\n{UNSHARE}\n")
    unshare.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return write


def request(*packages: str, name: str = "test") -> BuildImageRequest:
    # A suite that is not the host's, so that nothing is asked of the host's apt.
    return BuildImageRequest(name=name, packages=packages or ("bash",), suite="elsewhere", languages=("bash",))


async def build(settings: Settings, wanted: BuildImageRequest | None = None):
    return await debian.build_debian_image(settings, ImageStore(settings), wanted or request(), silent)


async def test_the_image_keeps_what_was_asked_for(settings: Settings, stand_in) -> None:
    stand_in(MAKES_A_TREE)
    image = await build(settings, request("bash", "jq=1.6-2"))
    assert (image.packages, image.suite, image.languages) == (("bash", "jq=1.6-2"), "elsewhere", ("bash",))
    assert image.env["PATH"]
    assert image.problem is None


async def test_packages_come_from_the_archive_of_the_settings_however_old_it_is(
    settings: Settings, stand_in, tmp_path: Path
) -> None:
    dated = "https://snapshot.debian.org/archive/debian/20261101T000000Z"
    stand_in(f'printf "%s\\n" "$@" >{tmp_path}/asked\n{MAKES_A_TREE}')
    await build(settings.model_copy(update={"package_archive": dated}))
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[-1] == dated
    assert '--aptopt=Acquire::Check-Valid-Until "false"' in asked


async def test_only_the_finished_image_stays(settings: Settings, stand_in) -> None:
    stand_in(MAKES_A_TREE)
    image = await build(settings)
    assert [path.name for path in settings.images_dir.iterdir()] == ["test"]
    assert sorted(path.name for path in Path(image.path).parent.iterdir()) == ["manifest.json", "rootfs.ext4"]


@pytest.mark.parametrize(
    ("said", "kind", "named"),
    [
        ("E: Unable to locate package nosuch", InputError, "nosuch"),
        ("E: Package 'ghost' has no installation candidate", InputError, "ghost"),
        ("E: Version '9' for 'jq' was not found", InputError, "jq"),
        ("E: The repository 'x elsewhere Release' does not have a Release file.", InputError, "elsewhere"),
        ("W: Temporary failure resolving 'archive'", NotReadyError, "can't be reached"),
        ("tar: ./usr: Cannot write: No space left on device", NotReadyError, "no space"),
        ("E: something new", InternalError, "something new"),
    ],
)
async def test_a_failure_names_cause_and_remedy_and_leaves_nothing(
    settings: Settings, stand_in, said: str, kind: type[VmdeckError], named: str
) -> None:
    stand_in(f'{MAKES_A_TREE}; echo "{said}" >&2; echo "E: mmdebstrap failed to run" >&2; exit 25')
    with pytest.raises(kind, match=named) as caught:
        await build(settings)
    assert caught.value.remedy
    assert [path.name for path in settings.images_dir.iterdir()] == []


async def test_without_mmdebstrap_the_remedy_is_setup(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find", lambda program: None)
    with pytest.raises(NotReadyError, match="mmdebstrap") as caught:
        await build(settings)
    assert "vmdeck setup" in caught.value.remedy
    assert [path.name for path in settings.images_dir.iterdir()] == []


async def test_cancelling_ends_the_build_and_leaves_nothing(settings: Settings, stand_in) -> None:
    stand_in(f"{MAKES_A_TREE}; echo pid $$; sleep 1000")
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def progress(line: str, fraction: float | None = None) -> None:
        if line.startswith("pid "):
            started.set_result(int(line.removeprefix("pid ")))

    building = asyncio.create_task(debian.build_debian_image(settings, ImageStore(settings), request(), progress))
    builder = psutil.Process(await started)
    processes = [builder, *builder.children(recursive=True)]
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    _gone, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    assert [path.name for path in settings.images_dir.iterdir()] == []


@pytest.mark.parametrize("package", ["--root=/", "a b", "x;reboot", "$(reboot)", "../x", "", "a,b", "x\ny"])
def test_what_is_no_package_name_is_refused_before_any_program_runs(package: str) -> None:
    with pytest.raises(ValidationError):
        BuildImageRequest(name="test", packages=(package,))


async def test_progress_only_grows(settings: Settings, stand_in) -> None:
    stages = "; ".join(f'echo "{text}..."' for text, _share in debian_tree.STAGES)
    stand_in(f"{MAKES_A_TREE}; {stages}")
    seen: list[float] = []

    def progress(line: str, fraction: float | None = None) -> None:
        if fraction is not None:
            seen.append(fraction)

    await debian.build_debian_image(settings, ImageStore(settings), request(), progress)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
