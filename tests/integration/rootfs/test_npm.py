"""What packages of npm may make the host do while they are installed: nothing."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from engine.errors import InputError
from engine.rootfs.npm import fetch_npm_packages
from engine.rootfs.package_cache import PackageCache
from engine.rootfs.progress import silent
from engine.settings import Settings


class Registry(BaseHTTPRequestHandler):
    """Knows the one package `bait`, which depends on a git repository."""

    wanted: ClassVar[str] = ""

    def do_GET(self) -> None:
        package = {"name": "bait", "version": "1.0.0", "dependencies": {"hooked": self.wanted}}
        tarball = f"http://{self.headers['Host']}/bait.tgz"
        body = json.dumps({
            "name": "bait",
            "dist-tags": {"latest": "1.0.0"},
            "versions": {"1.0.0": {**package, "dist": {"tarball": tarball}}},
        }).encode()  # fmt: skip
        self.send_response(200)
        self.end_headers()
        self.wfile.write(packed(package) if self.path.endswith(".tgz") else body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def packed(package: dict[str, object]) -> bytes:
    text = json.dumps(package).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/package.json")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return out.getvalue()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Its own .npmrc names the program that npm takes for git; that leaves a file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    dependencies = {"next": f"git+file://{folder}"}
    described = {"name": "hooked", "version": "1.0.0", "dependencies": dependencies, "scripts": {"prepare": "true"}}
    (folder / "package.json").write_text(json.dumps(described))
    (folder / ".npmrc").write_text("git=./hook.sh\n")
    (folder / "hook.sh").write_text(f'#!/bin/sh\ntouch {tmp_path}/ran\nexec git "$@"\n')
    (folder / "hook.sh").chmod(0o755)
    for words in ("init -q", "add -A", "-c user.name=t -c user.email=t@localhost commit -q -m t"):
        subprocess.run(["git", "-C", folder, *words.split()], check=True)
    return folder


@pytest.fixture
def registry(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Registry, "wanted", f"git+file://{repository}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
    yield
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.mark.usefixtures("registry")
async def test_a_package_whose_dependency_is_a_git_repository_is_refused_and_nothing_of_it_runs(
    prepared: Settings, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="git repository"):
        await fetch_npm_packages(["bait"], tmp_path / "into", PackageCache(prepared), silent)
    assert not (tmp_path / "ran").exists()
