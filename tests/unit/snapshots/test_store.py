"""The store of snapshots is read while others change it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.settings import Settings
from engine.snapshots.manifest import MANIFEST
from engine.snapshots.store import SnapshotStore


@pytest.mark.parametrize("moment", ["while it is looked at", "after that"])
def test_a_snapshot_that_is_removed_while_all_are_listed_is_not_among_them(tmp_path: Path, moment: str) -> None:
    settings = Settings(data_dir=tmp_path)
    for name in ("goes", "stays"):
        (settings.snapshots_dir / name).mkdir(parents=True)
        (settings.snapshots_dir / name / MANIFEST).write_text("{}")
    store = SnapshotStore(settings)
    found = store.all()
    if moment == "while it is looked at":
        shutil.rmtree(settings.snapshots_dir / "goes")
    problems = [store.problem(each, None, None) for each in found]
    shutil.rmtree(settings.snapshots_dir / "goes", ignore_errors=True)
    described = [store.describe(each, problem) for each, problem in zip(found, problems, strict=True)]
    assert [each.name for each in described if each is not None] == ["stays"]


def test_a_name_ends_where_its_line_does(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        SnapshotStore(Settings(data_dir=tmp_path)).path("python\n")
