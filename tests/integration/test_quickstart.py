"""README's first command, as a newcomer meets it: a clean clone, nothing prepared."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Clone:
    folder: Path
    data: Path
    environment: dict[str, str]

    def quickstart(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["./taskw", "quickstart"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def made(self) -> dict[str, tuple[int, int]]:
        """Inode and time of everything that setup makes: made again, they would differ."""
        each_start = ("history.db", "engine.lock")
        files = [path for path in self.data.rglob("*") if path.is_file() and not path.name.startswith(each_start)]
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def clone() -> Iterator[Clone]:
    """The files of this tree as git has or would have them, without anything that an earlier start left."""
    with tempfile.TemporaryDirectory(prefix="vmd-clone-", dir="/tmp") as name:
        home = Path(name)
        folder = home / "vmdeck"
        folder.mkdir()
        listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, capture_output=True, check=True).stdout
        copy = ["cp", "--parents", "--no-dereference", "-t", str(folder)]
        subprocess.run(["xargs", "-0", *copy], input=names, cwd=ROOT, check=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VMDECK_", "PYTEST_"))},
            "VMDECK_DATA_DIR": str(home / "data"),
            "VMDECK_RUNTIME_DIR": str(home / "run"),
        }
        try:
            yield Clone(folder, home / "data", environment)
        finally:
            # Setup makes things outside of its data folder too, such as shell completion.
            if (vmdeck := folder / ".venv/bin/vmdeck").exists():
                undo = [str(vmdeck), "setup", "--undo", "--yes"]
                subprocess.run(undo, env=environment, capture_output=True, timeout=120, check=True)


def test_quickstart_ends_with_code_run_in_a_warm_microvm_and_does_no_work_twice(clone: Clone) -> None:
    first = clone.quickstart()
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    tail = first.stdout.splitlines()[-5:]
    assert "Hello from a microVM" in tail
    assert any(line.startswith("Python 3.") and "on Linux" in line for line in tail)
    assert "./taskw console" in tail[-1]
    made = clone.made()
    with sqlite3.connect(clone.data / "history.db") as history:
        assert history.execute("SELECT json_extract(entry, '$.boot'), outcome FROM runs").fetchall() == [
            ("snapshot", "success")
        ]

    second = clone.quickstart()
    assert second.returncode == 0, second.stderr[-3000:]
    assert second.stdout.splitlines()[-4:] == tail[-4:]
    assert clone.made() == made
