"""`vmdeck rootfs from-docker`: what it asks the engine for, and what it refuses before it asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models import DockerImageRequest, Job
from tests.unit.cli.conftest import Invoke
from tests.unit.fake_engine import FakeEngine


@pytest.fixture
def asked(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> list[DockerImageRequest]:
    requests: list[DockerImageRequest] = []
    build = engine.build_docker_image

    async def build_docker_image(request: DockerImageRequest) -> Job:
        requests.append(request)
        return await build(request)

    monkeypatch.setattr(engine, "build_docker_image", build_docker_image)
    return requests


def test_an_image_of_an_engine(vmdeck: Invoke, asked: list[DockerImageRequest]) -> None:
    result = vmdeck(
        *("rootfs", "from-docker", "--name", "go", "--image", "golang:1.25", "--lang", "go", "--lang", "bash"),
        *("--size", "512", "--docker-host", "tcp://build:2375"),
    )
    assert (result.exit_code, result.stdout) == (0, "Image go is ready\n")
    assert asked == [
        DockerImageRequest(
            name="go", image="golang:1.25", docker_host="tcp://build:2375", size_mib=512, languages=("go", "bash")
        )
    ]


def test_an_archive_is_named_from_the_folder_that_one_is_in(
    vmdeck: Invoke, asked: list[DockerImageRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert vmdeck("rootfs", "from-docker", "--name", "app", "--tar", "app.tar").exit_code == 0
    assert [request.tar for request in asked] == [str(tmp_path / "app.tar")]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--image", "--privileged"],
        ["--image", "a;reboot"],
        ["--image", "a b"],
        ["--image", "x/UPPER"],
        ["--image", "../x"],
        ["--image", "a", "--docker-host", "ssh://build"],
        ["--tar", "x.tar", "--docker-host", "tcp://build:2375"],
        ["--image", "a", "--size", "1"],
    ],
    ids=" ".join,
)
def test_what_can_be_no_image_is_refused_before_the_engine_is_asked(
    args: list[str], vmdeck: Invoke, asked: list[DockerImageRequest]
) -> None:
    assert vmdeck("rootfs", "from-docker", "--name", "x", *args).exit_code == 2
    assert asked == []


@pytest.mark.parametrize(
    "reference",
    [
        *("busybox", "golang:1.25-alpine", "library/x_y/a--b.c", "host.example:5000/a/b:T_1", "localhost/x:1"),
        f"a@sha256:{'0' * 64}",
        f"docker.io/library/a:1@sha256:{'f' * 64}",
    ],
)
def test_every_form_of_a_name_is_taken(reference: str, vmdeck: Invoke, asked: list[DockerImageRequest]) -> None:
    assert vmdeck("rootfs", "from-docker", "--name", "x", "--image", reference).exit_code == 0
    assert [request.image for request in asked] == [reference]
