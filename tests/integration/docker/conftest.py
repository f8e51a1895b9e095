"""A real Docker engine, with an image in it that is made of Debian's busybox."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.engine import Engine
from engine.rootfs.packages import download, unpack
from engine.settings import Settings
from tests.integration.docker import dockerd
from tests.lab import made_lab
from tests.unit.rootfs.docker.tars import Entry, file, folder, link, tar

BASE = "vmdeck-test/base:1"
APP = "vmdeck-test/app:1"
DOCKERFILE = f"""
FROM {BASE}
COPY greeting /srv/app/greeting
ENV GREETING="hello from a Dockerfile" PATH=/srv/app/bin:/bin
WORKDIR /srv/app
USER 1234:5678
"""
LANGUAGES = """
[busybox]
title = "Busybox's shell"
file = "main.sh"
run = ["/bin/busybox", "sh", "{file}"]
version = ["/bin/busybox"]
hello = "echo Hello"
expect = "Hello\\n"

[mute]
title = "One that does not tell its version"
file = "main.sh"
run = ["/bin/busybox", "sh", "{file}"]
version = ["/bin/busybox", "echo", "none"]
hello = "echo Hello"
expect = "Hello\\n"
"""


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program that needs nothing: no C library, no other file."""
    folder = tmp_path_factory.mktemp("busybox")
    [package] = asyncio.run(download(["busybox-static"], folder / "archives"))
    asyncio.run(unpack(package, folder / "tree"))
    return next(folder.glob("tree/**/bin/busybox")).read_bytes()


@pytest.fixture(scope="session")
def base(busybox: bytes) -> bytes:
    """A root file system of two names: no /tmp, no /etc/passwd, no library, no Python."""
    return tar(folder("bin"), file("bin/busybox", busybox, mode=0o755), link("bin/sh", "busybox"))


@pytest.fixture(scope="session")
def docker_url(base: bytes) -> Iterator[str]:
    """Of an engine that has BASE, imported, and APP, built on it by a Dockerfile."""
    if reason := dockerd.missing():
        pytest.skip(reason)
    with dockerd.running() as url:
        client = dockerd.client(url)
        client.api.import_image_from_data(base, repository=BASE.partition(":")[0], tag="1")
        context = tar(file("Dockerfile", DOCKERFILE.encode()), file("greeting", b"copied"))
        client.images.build(fileobj=io.BytesIO(context), custom_context=True, tag=APP, rm=True)
        client.close()
        yield url


@pytest.fixture
def docker(docker_url: str) -> Iterator[Any]:
    """A client of it; after the test it has no container."""
    client = dockerd.client(docker_url)
    try:
        yield client
        assert client.api.containers(all=True) == []
    finally:
        client.close()


@pytest.fixture
def own_images(prepared: Settings, tmp_path: Path) -> Iterator[Settings]:
    """A lab that has no image, and a language for any with a busybox."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "languages.toml").write_text(LANGUAGES)
    with made_lab(prepared) as settings:
        settings.images_dir.unlink()
        settings.images_dir.mkdir()
        yield settings


@pytest.fixture
async def docked(own_images: Settings) -> AsyncIterator[Engine]:
    async with Engine(own_images) as engine:
        yield engine


def exported(docker: Any, image: str) -> bytes:
    """What docker export writes."""
    container = docker.api.create_container(image, ["/none"])["Id"]
    try:
        return b"".join(docker.api.export(container))
    finally:
        docker.api.remove_container(container)


def big(mib: int) -> bytes:
    """A file system with a large file in it."""
    return tar(Entry("large", tarfile.REGTYPE, b"x" * 1024 * 1024 * mib))
