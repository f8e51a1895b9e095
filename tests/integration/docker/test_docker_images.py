"""Images from a real Docker engine and from what its tools write, and code that runs in them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.engine import Engine
from engine.errors import InputError, NotReadyError
from engine.languages.catalogue import Catalogue
from engine.models import CreateSnapshotRequest, DockerImageRequest, Image, Job, JobState
from engine.rootfs.debian import host_suite
from engine.rootfs.docker.build import build_docker_image, build_from_docker
from engine.rootfs.docker.exporting import LABEL
from engine.rootfs.progress import silent
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from tests.integration.docker import doomed_build
from tests.integration.docker.conftest import APP, BASE, big, exported
from tests.integration.docker.registry import serving
from tests.running import run_code
from tests.unit.rootfs.docker.saved import Made
from tests.unit.rootfs.docker.tars import file, tar

SHOWS = """
echo "$GREETING|$VMDECK_WORKDIR|$VMDECK_USER|$PATH|$(/bin/busybox cat "$VMDECK_WORKDIR/greeting")|$(/bin/busybox pwd)"
/bin/busybox id -u
echo more >/tmp/file && /bin/busybox cat /tmp/file
"""
SHOWN = "hello from a Dockerfile|/srv/app|1234:5678|/srv/app/bin:/bin|copied|/work\n65534\nmore\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


async def built(settings: Settings, progress: Any = silent, **request: object) -> Image:
    asked = DockerImageRequest.model_validate({"name": "made", **request})
    return await build_docker_image(ImageStore(settings), asked, progress)


def left(settings: Settings) -> list[str]:
    return sorted(str(path.relative_to(settings.images_dir)) for path in settings.images_dir.rglob("*"))


async def followed(engine: Engine, job: Job) -> Job:
    async with aclosing(engine.job_events(job.id)) as events:
        async for event in events:
            job = event.job
    return job


# --- what comes out


@pytest.mark.vm
async def test_code_sees_env_workdir_and_user_of_a_dockerfile(docked: Engine, docker: Any, docker_url: str) -> None:
    """In an image of one static program: no Python, no C library, no /tmp, no /etc/passwd."""
    request = DockerImageRequest(name="app", image=APP, docker_host=docker_url, languages=("busybox",))
    job = await followed(docked, await docked.build_docker_image(request))
    assert (job.state, job.error) == (JobState.DONE, None)
    result = await run_code(docked, "busybox", SHOWS)
    assert (result.stdout, result.stderr, result.exit_code) == (SHOWN, None, 0)
    [image] = await docked.images()
    assert (image.source, image.source_id) == (f"docker {APP}", docker.images.get(APP).id)
    assert (image.workdir, image.user, image.env["GREETING"]) == ("/srv/app", "1234:5678", "hello from a Dockerfile")
    assert image.proven is not None
    assert str(image.version).startswith("BusyBox v1.")


@pytest.mark.vm
async def test_an_image_whose_tool_does_not_tell_its_version_is_built_and_the_log_says_so(
    docked: Engine, docker: Any, docker_url: str
) -> None:
    request = DockerImageRequest(name="app", image=APP, docker_host=docker_url, languages=("mute",))
    job = await docked.build_docker_image(request)
    async with aclosing(docked.job_events(job.id)) as events:
        lines = [event.line async for event in events]
    [image] = await docked.images()
    assert image.version is None
    said = "The version is not known: /bin/busybox does not tell its version in this image: it ended by exit (code 0)"
    assert any(str(line).startswith(said) for line in lines)


@pytest.mark.vm
@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="no program mmdebstrap")
async def test_python_of_a_debian_image_is_parked_and_runs(
    docked: Engine, docker: Any, docker_url: str, tmp_path: Path
) -> None:
    """Of a real distribution, through a real engine, to a warm start."""
    await asyncio.to_thread(docker.api.import_image, str(debian(tmp_path)), repository="vmdeck-test/debian", tag="1")
    name = "vmdeck-test/debian:1"
    request = DockerImageRequest(name="python", image=name, docker_host=docker_url, languages=("python",))
    job = await followed(docked, await docked.build_docker_image(request))
    assert (job.state, job.error) == (JobState.DONE, None)
    job = await followed(docked, await docked.create_snapshot(CreateSnapshotRequest(language="python")))
    assert (job.state, job.error) == (JobState.DONE, None)
    result = await run_code(docked, "python", "import json, sys; print(json.dumps(sys.version_info.major))")
    assert (result.stdout, result.boot) == ("3\n", "snapshot")


def debian(folder: Path) -> Path:
    """A root file system with Python, as a tar archive."""
    hooks = "/usr/share/mmdebstrap/hooks/merged-usr"
    packages = "--include=python3,base-files,dash,libc-bin,coreutils"
    archive = folder / "debian.tar"
    argv = ["mmdebstrap", "--variant=extract", f"--hook-dir={hooks}", packages, host_suite(), archive]
    subprocess.run(["unshare", "--mount", "--", *argv], check=True, capture_output=True)
    return archive


@pytest.mark.parametrize("form", ["engine", "save", "export"])
async def test_every_way_brings_the_same_files(
    settings: Settings, docker: Any, docker_url: str, tmp_path: Path, form: str
) -> None:
    archive = tmp_path / "archive.tar"
    if form == "engine":
        request: dict[str, object] = {"image": APP, "docker_host": docker_url}
    else:
        pieces = docker.images.get(APP).save(named=True) if form == "save" else [exported(docker, APP)]
        archive.write_bytes(b"".join(pieces))
        request = {"tar": str(archive)}
    image = await built(settings, **request)
    assert listed(image) == {"bin/busybox": (0o100755, 1982256), "bin/sh": (0o120777, 7), "greeting": (0o100644, 6)}
    assert left(settings) == ["made", "made/manifest.json", "made/rootfs.ext4"]
    if form == "export":
        assert (image.env, image.workdir, image.user) == ({}, "/", "")
    else:
        assert (image.env["PATH"], image.workdir, image.user) == ("/srv/app/bin:/bin", "/srv/app", "1234:5678")
        assert image.source_id == docker.images.get(APP).id
    tool("e2fsck", "-fn", image.path)


def tool(*argv: str) -> str:
    path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=path).stdout


def listed(image: Image) -> dict[str, tuple[int, int]]:
    """Mode and size of files of the image, as the file system has them."""
    found: dict[str, tuple[int, int]] = {}
    for folder, prefix in (("/bin", "bin/"), ("/srv/app", "")):
        done = subprocess.run(
            ["debugfs", "-R", f"ls -p {folder}", image.path], capture_output=True, text=True, check=True
        )
        for line in done.stdout.splitlines():
            if line:
                _, _inode, mode, _uid, _gid, name, size, _ = line.split("/")
                if name not in (".", ".."):
                    found[f"{prefix}{name}"] = (int(mode, 8), int(size))
    return found


async def test_a_language_is_built_from_the_image_of_its_table(
    settings: Settings, docker: Any, docker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_url)
    own = tmp_path / "languages.toml"
    own.write_text(
        f"""
        [box]
        title = "Box"
        file = "main.sh"
        run = ["sh", "{{file}}"]
        hello = "echo Hello"
        expect = "Hello"
        docker = {{ image = "{BASE}", run = ["/bin/busybox", "sh", "{{file}}"] }}
        """
    )

    async def unasked(image: Image) -> str:
        return f"of {image.source}"

    recipe = Catalogue.load(own).recipe("box")
    order = DockerImageRequest(name="boxed", image=BASE)
    image = await build_from_docker(settings, ImageStore(settings), recipe, order, silent, unasked)
    assert (image.name, image.languages, image.version) == ("boxed", ("box",), f"of docker {BASE}")
    assert recipe.within(image.source).run == ("/bin/busybox", "sh", "{file}")


# --- pulling


async def test_an_absent_image_is_pulled_and_each_layer_is_told_of(
    settings: Settings, docker: Any, docker_url: str
) -> None:
    layers = [tar(file("one")), tar(file("two"))]
    told: list[tuple[str, float | None]] = []
    with serving(Made(layers)) as registry:
        image = await built(
            settings, lambda line, at=None: told.append((line, at)), image=f"{registry}/app:1", docker_host=docker_url
        )
        docker.images.remove(f"{registry}/app:1")
    lines = [line for line, _at in told]
    assert len([line for line in lines if line.endswith(": Pull complete")]) == len(layers)
    reached = [at for _line, at in told if at is not None]
    assert reached == sorted(reached)
    assert reached[-1] == 1.0
    assert (image.workdir, image.user) == ("/srv", "app")


async def test_an_image_that_no_registry_has_is_told(settings: Settings, docker: Any, docker_url: str) -> None:
    with serving(Made([tar(file("one"))])) as registry, pytest.raises(InputError, match="Neither") as caught:
        await built(settings, image=f"{registry}/app:none", docker_host=docker_url)
    assert "docker image ls" in caught.value.remedy
    assert left(settings) == []


async def test_a_registry_that_is_not_there_is_told(settings: Settings, docker: Any, docker_url: str) -> None:
    with pytest.raises(NotReadyError, match="can't be pulled") as caught:
        await built(settings, image="127.0.0.1:1/app:1", docker_host=docker_url)
    assert "--tar" in caught.value.remedy


async def test_an_image_for_another_cpu_is_refused(settings: Settings, docker: Any, docker_url: str) -> None:
    with serving(Made([tar(file("one"))], "s390x")) as registry, pytest.raises(InputError, match="linux/s390x"):
        await built(settings, image=f"{registry}/app:1", docker_host=docker_url)


@pytest.mark.parametrize("url", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"])
async def test_an_engine_that_does_not_answer_is_told(settings: Settings, url: str) -> None:
    with pytest.raises(NotReadyError, match=url) as caught:
        await built(settings, image=APP, docker_host=url)
    assert "--docker-host" in caught.value.remedy
    assert left(settings) == []


# --- ends


@pytest.fixture
async def large(docker: Any, docker_url: str) -> AsyncIterator[str]:
    """An image whose export takes a while."""
    docker.api.import_image_from_data(big(192), repository="vmdeck-test/large", tag="1")
    yield "vmdeck-test/large:1"
    docker.images.remove("vmdeck-test/large:1")


async def test_cancelling_amid_the_export_leaves_nothing(
    settings: Settings, docker: Any, docker_url: str, large: str
) -> None:
    amid = asyncio.Event()

    def progress(_line: str, fraction: float | None = None) -> None:
        if fraction:
            amid.set()

    building = asyncio.create_task(built(settings, progress, image=large, docker_host=docker_url))
    waiting = asyncio.create_task(amid.wait())
    await asyncio.wait({building, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert len(docker.api.containers(all=True)) == 1, "the export ended before it could be cancelled"
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert docker.api.containers(all=True) == []
    assert left(settings) == []


async def test_cancelling_amid_a_pull_is_not_waited_for(settings: Settings, docker: Any, docker_url: str) -> None:
    held, pulling = threading.Event(), asyncio.Event()

    def progress(line: str, _fraction: float | None = None) -> None:
        if line.endswith("Pulling fs layer"):
            pulling.set()

    with serving(Made([tar(file("held"))]), [held]) as registry:
        request = {"image": f"{registry}/app:1", "docker_host": docker_url}
        building = asyncio.create_task(built(settings, progress, **request))
        await asyncio.wait_for(pulling.wait(), 60)
        began = time.monotonic()
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        assert time.monotonic() - began < 8  # less than a program that does not end by itself is given
    assert left(settings) == []


async def test_what_a_killed_build_left_goes_with_the_next(
    settings: Settings, docker: Any, docker_url: str, large: str
) -> None:
    """Killed with all its children, so that none of them can clean up."""
    await asyncio.to_thread(killed_amid_export, settings, large, docker_url, alone=False)
    [container] = docker.api.containers(all=True)
    assert LABEL in container["Labels"]
    assert left(settings) != []
    await built(settings, image=BASE, docker_host=docker_url)
    assert docker.api.containers(all=True) == []
    assert left(settings) == ["made", "made/manifest.json", "made/rootfs.ext4"]


async def test_a_killed_build_takes_its_export_and_the_container_along(
    settings: Settings, docker: Any, docker_url: str, large: str
) -> None:
    await asyncio.to_thread(killed_amid_export, settings, large, docker_url, alone=True)
    assert docker.api.containers(all=True) == []


def killed_amid_export(settings: Settings, image: str, docker_url: str, *, alone: bool) -> None:
    """Kill a build in a process of its own, with its children if not ``alone``; return when all have ended."""
    request = {"name": "made", "image": image, "docker_host": docker_url}
    argv = [sys.executable, doomed_build.__file__, str(settings.data_dir), json.dumps(request)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as doomed:
        assert doomed.stdout is not None
        assert any(line.startswith("reached") for line in doomed.stdout), "it ended before it could be killed"
        children = psutil.Process(doomed.pid).children(recursive=True)
        killed = [psutil.Process(doomed.pid), *(() if alone else children)]
        for process in killed:
            process.send_signal(signal.SIGSTOP)  # else one could clean up while the others are killed
        for process in killed:
            process.send_signal(signal.SIGKILL)
    _gone, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


async def test_containers_of_others_are_left_alone(settings: Settings, docker: Any, docker_url: str) -> None:
    """Of images too that bear our label, as a stranger's may; and of exports on another host."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    others: list[tuple[str | None, dict[str, str]]] = [
        (None, {}),
        ("theirs", {LABEL: f"{boot_id} 999999999 1"}),
        ("vmdeck-export-away", {LABEL: "another-boot 1 1"}),
        ("vmdeck-export-odd", {LABEL: "odd"}),
    ]
    left_by_us = ("vmdeck-export-ours", {LABEL: f"{boot_id} 999999999 1"})
    made = {
        name: docker.api.create_container(BASE, ["/none"], name=name, labels=labels)["Id"]
        for name, labels in (*others, left_by_us)
    }
    ours = made.pop("vmdeck-export-ours")
    try:
        await built(settings, image=BASE, docker_host=docker_url)
        there = {each["Id"] for each in docker.api.containers(all=True)}
        assert (ours in there, there) == (False, set(made.values()))
    finally:
        for container in made.values():
            docker.api.remove_container(container)
