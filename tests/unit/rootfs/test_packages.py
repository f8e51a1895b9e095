"""Archives that apt downloads."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from engine.rootfs import command, packages


async def test_an_archive_is_not_hashed_on_the_event_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hashed_by: list[int] = []

    async def run(argv: list[object], **_options: object) -> str:
        match argv:
            case ["apt-cache", *_]:
                return "linux:\n  Installed: (none)\n  Candidate: 6.1\n"
            case ["apt-get", *_]:
                (tmp_path / "linux.deb").write_bytes(b"archive")
                return ""
            case _:
                return "linux 6.1 amd64"

    def digest(_path: Path) -> str:
        hashed_by.append(threading.get_ident())
        return "ab" * 32

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(packages, "sha256_file", digest)
    (package,) = await packages.download(["linux"], tmp_path)
    assert package.sha256 == "ab" * 32
    assert threading.get_ident() not in hashed_by
