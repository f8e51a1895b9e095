"""A folder of a live VM is told from what a killed engine left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.host import stores
from engine.host.finding import Surroundings
from engine.host.kvm import KvmVerdict
from engine.host.owner import OWNER_FILE, claim, owner_of
from engine.host.process import ProcessId
from engine.models import Severity
from engine.settings import Settings


async def no_kvm() -> KvmVerdict:
    return KvmVerdict(kind="absent", detail="")


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(Settings(data_dir=tmp_path, runtime_dir=tmp_path), kvm=no_kvm, machine="x86_64")


@pytest.fixture
def home(around: Surroundings) -> Path:
    path = around.settings.vms_dir / "vm-1"
    path.mkdir(parents=True)
    return path


def test_a_claim_names_this_process(home: Path) -> None:
    claim(home)
    assert owner_of(home) == ProcessId.of(os.getpid())


@pytest.mark.parametrize("text", ["", "1", "what"])
def test_half_a_note_is_none(home: Path, text: str) -> None:
    (home / OWNER_FILE).write_text(text)
    assert owner_of(home) is None


def test_no_vms_leave_nothing(around: Surroundings) -> None:
    assert stores.leftovers(around).severity is Severity.OK


def test_a_folder_of_a_live_owner_is_no_leftover(around: Surroundings, home: Path) -> None:
    claim(home)
    assert stores.leftovers(around).severity is Severity.OK


def test_a_folder_whose_owner_is_gone_is_a_leftover(around: Surroundings, home: Path) -> None:
    own = ProcessId.of(os.getpid())
    (home / OWNER_FILE).write_text(str(ProcessId(own.pid, own.start_ticks - 1)))
    found = stores.leftovers(around)
    assert found.severity is Severity.DEGRADED
    assert "vm-1" in found.seen


def test_a_folder_without_a_note_is_mentioned(around: Surroundings, home: Path) -> None:
    found = stores.leftovers(around)
    assert found.severity is Severity.INFO
    assert home.name in found.seen
