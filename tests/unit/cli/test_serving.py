"""What serves an engine tells it where, and the engine tells whoever asks."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from engine.client import RemoteEngine
from engine.setup.systemd import has_systemd

VMDECK = str(Path(sys.executable).with_name("vmdeck"))


async def test_a_daemon_knows_its_addresses_and_its_flags(tmp_path: Path) -> None:
    folders = {f"VMDECK_{name.upper()}_DIR": str(tmp_path / name) for name in ("config", "data", "runtime")}
    daemon = await asyncio.create_subprocess_exec(
        VMDECK, "serve", "--port", "0", env=os.environ | folders, stdout=asyncio.subprocess.PIPE
    )
    assert daemon.stdout is not None
    try:
        async with asyncio.timeout(60):
            said = [(await daemon.stdout.readline()).decode().strip() for _ in range(2)]
        async with RemoteEngine(tmp_path / "runtime" / "engine.sock") as remote:
            state = await remote.service()
            settings = {each.name: each for each in await remote.settings()}
    finally:
        daemon.terminate()
        await daemon.wait()
    assert [f"Listening on {address}" for address in state.addresses] == said
    assert state.systemd is has_systemd()
    assert (settings["api_port"].origin, settings["api_port"].source) == ("flag", "--port")
    assert settings["data_dir"].source == "VMDECK_DATA_DIR"
