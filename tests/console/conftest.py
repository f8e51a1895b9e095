"""What every console test needs: no preferences of the person who runs it, no colours of their terminal."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from console.app import ConsoleApp
from tests.console.driving import Before, driving
from tests.console.picture_text import ScreenText, picture

Looks = Callable[..., bool]


@pytest.fixture(scope="session", autouse=True)
def _imports_are_no_garbage() -> Iterator[None]:
    """Looking for garbage in all that pytest has imported takes a fifth of the time of these tests."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config folder, empty and writable."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("VMDECK_CONFIG_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return folder


@pytest.fixture
def looks_as_before(snapshot: SnapshotAssertion) -> Looks:
    """``looks_as_before(app, size=(80, 24), before=steps(...))``: the screen is the one in the file beside the test,
    in two themes.

    ``pytest --snapshot-update`` writes the files anew; read their diff.
    """

    def compare(app: ConsoleApp, *, size: tuple[int, int] = (80, 24), before: Before) -> bool:
        async def seen() -> str:
            async with driving(app, size) as driven:
                await before(driven)
                await driven.pilot.pause()
                return await picture(driven.pilot)

        return asyncio.run(seen()) == snapshot.use_extension(ScreenText)

    return compare
