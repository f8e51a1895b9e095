"""The console beside a real bucket: an image is uploaded, deleted here, and downloaded again by keys alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from console.app import ConsoleApp
from console.screens.confirm import ConfirmDialog
from console.widgets.line_table import LineTable
from engine.engine import Engine
from engine.settings import Settings
from tests.console.driving import Driven, connection_to, driving
from tests.integration.objectstore.hosts import Corner, make_image
from tests.s3_server import BUCKET


async def agree(driven: Driven, key: str) -> str:
    """Press a key, agree to what it asks, and return what that said."""
    await driven.press(key)
    await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog), f"what {key} asks")
    said = driven.text
    await driven.press("tab", "enter")
    return said


async def test_an_image_goes_to_the_bucket_and_comes_back_by_keys_alone(
    corner: Corner, host: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMDECK_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    settings = host("here", s3_bucket=BUCKET, s3_endpoint_url=corner.server.url, s3_prefix=corner.prefix)
    sent = await make_image(settings, data_mib=4)
    app = ConsoleApp(connection_to(Engine(settings, caller="console")), tick_s=0.1)
    async with driving(app, (120, 36)) as driven:
        await driven.until(lambda: app.last_health is not None)
        app.action_show_mode("images")
        await driven.until(lambda: app.current_mode == "images" and app.screen.query(LineTable))
        await driven.until(lambda: driven.table.keys == ["python"])
        assert "The bucket has no image of this name yet" in await agree(driven, "U")
        await driven.until(lambda: app.current_mode == "jobs")
        await driven.sees("✓ done")

        await driven.mode("3", "↑ only here")
        await driven.press("r")
        await driven.sees("✓ same")
        await agree(driven, "D")
        await driven.sees("↓ only there")

        assert "Nothing here is replaced" in await agree(driven, "F")
        await driven.until(lambda: app.current_mode == "jobs")
        await driven.until(lambda: driven.text.count("✓ done") >= 2, "the download done")
        await driven.mode("3", "✓ same")
        assert sent.digest.removeprefix("sha256:")[:8] in driven.text
