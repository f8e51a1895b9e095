"""The store of snapshots is read while others change it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine.backend import Backend, Ready
from engine.errors import InputError, NotReadyError
from engine.inventory import Inventory
from engine.languages.catalogue import Catalogue
from engine.runs.plan import Plan
from engine.settings import Settings
from engine.snapshots.manifest import MANIFEST, FileRecord, SnapshotManifest
from engine.snapshots.store import SnapshotStore, StoredSnapshot

RECORD = FileRecord(sha256="ab" * 32, size=1, mtime_ns=1, inode=1)


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


async def test_a_run_that_names_no_snapshot_does_without_one_that_was_removed_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    folder = settings.snapshots_dir / "goes"
    folder.mkdir(parents=True)
    made = SnapshotManifest.model_construct(language="python", memory_mib=256, vcpus=1, state=RECORD, memory=RECORD)
    inventory = Inventory(settings, Catalogue({}), cast(Backend, None))
    stored = StoredSnapshot(folder)
    stored.manifest = made

    def looked_at(*_: object) -> None:
        shutil.rmtree(folder)  # right after it was found to fit

    monkeypatch.setattr(inventory.snapshots, "all", lambda: [stored])
    monkeypatch.setattr(inventory.snapshots, "problem", looked_at)
    recipe, image = SimpleNamespace(id="python", title="Python"), SimpleNamespace(digest="")
    plan = cast(Plan, SimpleNamespace(recipe=recipe, image=image, memory_mib=256, vcpus=1))
    with pytest.raises(NotReadyError, match="'goes' was removed just now"):
        await inventory._warmest(plan, cast(Ready, SimpleNamespace(facts=None)), required=True)
