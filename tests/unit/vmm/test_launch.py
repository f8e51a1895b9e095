"""No VMM outlives its engine."""

from __future__ import annotations

import subprocess

import pytest

from engine.vmm.launch import beside_engine

PLAIN = beside_engine(["echo", "started"])
WITH_MORE = beside_engine(["echo", "started"], ["--no-new-privs"])


@pytest.mark.parametrize("command", [PLAIN, WITH_MORE])
def test_a_vmm_starts_under_its_engine_only(command: list[str]) -> None:
    """Its engine may be gone before it could ask to die with it; then it has another parent, and must not start."""
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "started\n"
    orphan = subprocess.run(["sh", "-c", '"$@"; true', "sh", *command], capture_output=True, text=True, check=False)
    assert orphan.stdout == ""
