"""A snapshot is published only while the image that it was made from is the newest."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from engine.errors import ConflictError
from engine.rootfs.progress import silent
from engine.settings import Settings
from engine.snapshots import create as module
from engine.snapshots.create import SnapshotOrder, create
from engine.snapshots.manifest import MEMORY, STATE
from engine.vmm.fleet import Fleet


async def test_an_image_built_anew_while_digests_are_computed_leaves_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = [True]

    async def warm_and_save(_order: object, _fleet: object, _settings: object, folder: Path, _: object) -> object:
        for file in (STATE, MEMORY):
            (folder / file).touch()
        return None, "parked"

    async def proves(*_: object) -> None: ...

    def written(indent: int) -> str:
        return " " * indent

    def no_state(_spec: object, _saved: object) -> None: ...

    def manifest(*_: object) -> object:
        newest[0] = False
        return SimpleNamespace(model_dump_json=written)

    monkeypatch.setattr(module, "_warm_and_save", warm_and_save)
    monkeypatch.setattr(module, "prove", proves)
    monkeypatch.setattr(module, "machine_state", no_state)
    monkeypatch.setattr(module, "_manifest", manifest)
    settings = Settings(data_dir=tmp_path)
    image = SimpleNamespace(name="python")
    order = cast(SnapshotOrder, SimpleNamespace(name="made", image=image, spec=None, current=lambda: newest[0]))
    with pytest.raises(ConflictError, match="built anew"):
        await create(order, cast(Fleet, None), settings, silent)
    assert list(settings.snapshots_dir.iterdir()) == []
