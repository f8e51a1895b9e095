"""What the steps that make artefacts leave behind of earlier ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.rootfs.initramfs import ARCHIVE, MANIFEST, InitramfsManifest
from engine.rootfs.progress import Progress, silent
from engine.setup import artefacts, system
from engine.setup.base import SetupContext, made
from engine.setup.ledger import Ledger
from tests.unit.setup.conftest import MakeContext

MADE = datetime(2026, 1, 1, tzinfo=UTC)


def build(folder: Path, age_days: int) -> None:
    folder.mkdir(parents=True)
    (folder / ARCHIVE).write_bytes(b"archive")
    manifest = InitramfsManifest(
        inputs=folder.name,
        source="of another version",
        kernel="k",
        python="3.11",
        packages={},
        sha256="0" * 64,
        size_bytes=7,
        created=MADE - timedelta(days=age_days),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())


async def test_a_new_initramfs_leaves_the_newest_few_and_what_it_does_not_know(
    ctx: SetupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age_days, name in enumerate(("newest", "second", "third", "old", "older")):
        build(ctx.settings.guest_dir / name, age_days)
    (ctx.settings.guest_dir / "unfinished").mkdir()

    async def built(*_arguments: object) -> None:
        """It is "newest"."""

    async def at_once(work: Callable[[], Awaitable[None]], progress: Progress) -> None:
        await work()

    monkeypatch.setattr(artefacts, "build_initramfs", built)
    monkeypatch.setattr(artefacts, "with_fresh_lists", at_once)
    monkeypatch.setattr(artefacts, "_kernel", lambda settings: None)
    await artefacts.apply_initramfs(ctx, silent)
    assert {path.name for path in ctx.settings.guest_dir.iterdir()} == {"newest", "second", "third", "unfinished"}


@pytest.mark.parametrize("reason", [NotReadyError("the disk is full"), asyncio.CancelledError()])
async def test_of_an_image_that_was_not_built_only_the_place_of_its_downloads_is_recorded(
    reason: BaseException, ctx: SetupContext, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_arguments: object) -> None:
        assert [trace.what for trace in ledger.traces()][-1] == str(ctx.settings.images_dir / "python")
        raise reason

    monkeypatch.setattr(artefacts, "build_debian_image", fails)
    with pytest.raises(type(reason)):
        await artefacts.apply_image(ctx, silent)
    assert [trace.what for trace in ledger.traces()][-1] == str(ctx.settings.cache_dir)


async def test_an_image_that_was_not_built_anew_stays_setups_own(
    ctx: SetupContext, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_arguments: object) -> None:
        raise NotReadyError("the disk is full")

    known = made("image", "folder", ctx.settings.images_dir / "python", sha256="0" * 64)
    ledger.record(known)
    monkeypatch.setattr(artefacts, "build_debian_image", fails)
    with pytest.raises(NotReadyError):
        await artefacts.apply_image(ctx, silent)
    assert (known.what, known.sha256) in [(trace.what, trace.sha256) for trace in ledger.traces()]


async def test_without_a_kernel_that_is_left_out_nothing_is_made_for_it(
    context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context(skip=["kernel"])
    for check in (artefacts.check_initramfs, artefacts.check_snapshot):
        finding = await check(ctx)
        assert (finding.skipped, "no guest kernel" in finding.seen) == (True, True)
        assert not (await check(context())).settled
    asked: list[str] = []

    async def unknown(names: list[str]) -> list[str]:
        asked.extend(names)
        return []

    monkeypatch.setattr(system.packages, "unknown", unknown)
    await system.check_lists(ctx)
    assert not {name for name in asked if name.startswith(("linux-image", "python3"))}
