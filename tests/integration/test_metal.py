"""The suite for Firecracker on native KVM is never green by silence where it can't run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import metal

ROOT = Path(__file__).parents[2]
FILE = "tests/hostile/test_concurrency.py"


def pytest_says(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", FILE, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_without_native_kvm_every_test_is_skipped_and_counted_and_the_reason_told() -> None:
    if metal.missing() is None:
        pytest.skip("this host can run the suite on Firecracker")
    collected = pytest_says("--collect-only").stdout.count("::")
    done = pytest_says(metal.FLAG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"NOTHING WAS TESTED: all {collected} tests were skipped" in done.stdout
    assert re.search(r"KVM is (emulated|denied|absent) here|Firecracker", done.stdout)
    assert re.search(rf"^{collected} skipped", done.stdout, re.MULTILINE)
    assert "passed" not in done.stdout
