from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.host.kvm import KvmVerdict
from engine.models import SetupOptions
from engine.rootfs.progress import Progress
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from engine.setup import completion, modules, service, systemd
from engine.setup.base import SetupContext
from engine.setup.ledger import Ledger
from tests.unit.setup.https_server import Server, https_server, make_certificate

MakeContext = Callable[..., SetupContext]


@dataclass(frozen=True)
class Commands:
    """A folder at the head of PATH with stand-ins for the programs that change a host; each call is written down."""

    folder: Path
    log: Path

    def add(self, program: str, body: str = "", *, status: int = 0) -> None:
        """``body`` is shell that sees the arguments."""
        path = self.folder / program
        note = f"printf '%s\\n' \"$(printf '%s' \"{program} $*\" | tr '\\n' ' ')\" >>{shlex.quote(str(self.log))}"
        path.write_text(f"#!/bin/sh\n{note}\n{body}\nexit {status}\n")
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def changing(self) -> list[str]:
        """Calls that would have changed the host."""
        looking = ("--simulate", "apt-cache", "dpkg-query", "systemctl show", "systemctl is-active")
        return [call for call in self.calls if not any(word in call for word in looking)]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """None of the programs that change a host can be reached but as a stand-in; without one set up, they fail."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    found = Commands(folder, tmp_path / "calls")
    for program in ("apt-get", "modprobe", "systemctl", "usermod", "gpasswd"):
        found.add(program, "echo not expected here >&2", status=99)
    return found


@pytest.fixture(autouse=True)
def host_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's own files that steps write lie below this folder; systemd does not run."""
    host = tmp_path / "host"
    monkeypatch.setattr(modules, "BOOT_FILE", host / "etc/modules-load.d/vmdeck.conf")
    monkeypatch.setattr(service, "UNIT_PATH", host / "etc/systemd/system/vmdeck.service")
    monkeypatch.setattr(completion, "SYSTEM", host / "usr/share")
    monkeypatch.setattr(systemd, "RUNNING", host / "run/systemd/system")
    monkeypatch.setenv("XDG_DATA_HOME", str(host / "home/share"))
    return host


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "run")


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger(settings)


@pytest.fixture
def context(settings: Settings, ledger: Ledger) -> MakeContext:
    """What steps get, with the options that are given."""

    async def create(language: str, progress: Progress) -> None:
        pytest.fail("no test here makes a snapshot")

    async def ready(language: str) -> str | None:
        return "none"

    async def kvm() -> KvmVerdict:
        return KvmVerdict(kind="absent", detail="the evidence")

    def make(**options: object) -> SetupContext:
        chosen = SetupOptions.model_validate(options)
        images = ImageStore(settings)
        notes = (ledger.record, ledger.forget, ledger.newcomers, ledger.traces)
        return SetupContext(settings, images, create, ready, kvm, chosen, *notes)

    return make


@pytest.fixture
def ctx(context: MakeContext) -> SetupContext:
    return context()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def server(certificate: Path) -> AsyncIterator[Server]:
    async with https_server(certificate) as server:
        yield server
