"""The note in a folder says who holds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.host.owner import OWNER_FILE, claim, owner_of
from engine.host.process import ProcessId


def test_a_claim_names_this_process(tmp_path: Path) -> None:
    claim(tmp_path)
    assert owner_of(tmp_path) == ProcessId.of(os.getpid())


@pytest.mark.parametrize("text", ["", "1", "what"])
def test_half_a_note_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / OWNER_FILE).write_text(text)
    assert owner_of(tmp_path) is None
