"""The console on an engine that it reaches over HTTP: every area shows its data, to an operator and to a viewer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console.app import ConsoleApp
from console.modes import MODES
from console.rights import REFUSED
from console.widgets.notice import Notice
from engine.client import RemoteEngine
from engine.http.server import running_server
from engine.http.sockets import tcp_socket
from engine.settings import Settings
from tests.console.driving import connection_to, driving
from tests.console.fake_engine import FakeEngine, busy
from tests.console.past_samples import PAST
from tests.console.walk import go

TOKEN = "s3cret-token"
SHOWN = {
    "overview": "7 ok",
    "vms": "vm-0a31",
    "images": "node22",
    "snapshots": "✓ fits",
    "scratchpad": "Python",
    "jobs": "Set up this host",
    "runs": PAST[0].trace_id,
    "setup": "Host packages",
    "settings": "max_running",
}
"""What only the area's data shows."""
PRIVATE = ("runs", "settings")


@asynccontextmanager
async def reached(engine: FakeEngine, folder: Path, role: str) -> AsyncIterator[ConsoleApp]:
    """A console on the engine's real API, whose callers are operators only where it has a token."""
    token = TOKEN if role == "operator" else ""
    settings = Settings(data_dir=folder / "data", runtime_dir=folder / "run", api_token=token)
    with tcp_socket("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with running_server(engine, settings, listener, trusted=False):
            client = RemoteEngine(url, token, caller="console", brief_results=True)
            yield ConsoleApp(connection_to(client), tick_s=0.1)


@pytest.mark.parametrize("role", ["operator", "viewer"])
async def test_every_area_shows_its_data_or_whose_it_is(role: str, tmp_path: Path) -> None:
    engine = busy()
    engine.past = PAST
    async with reached(engine, tmp_path, role) as app, driving(app, (160, 48)) as driven:
        for mode in MODES:
            await go(driven, mode)
            await driven.sees(REFUSED if role == "viewer" and mode.name in PRIVATE else SHOWN[mode.name])
            assert not app.screen.query_one(Notice).display, driven.text
            assert "engine fails" not in driven.text


@pytest.mark.parametrize("role", ["operator", "viewer"])
async def test_code_runs_and_a_vm_is_looked_into(role: str, tmp_path: Path) -> None:
    async with reached(busy(), tmp_path, role) as app, driving(app, (160, 48)) as driven:
        await go(driven, next(mode for mode in MODES if mode.name == "scratchpad"))
        await driven.sees("Python")
        await driven.press("ctrl+r")
        await driven.sees("exit 0")
        await driven.press("escape")
        await driven.mode("2", "vm-0a31")
        await driven.press("enter")
        await driven.sees("Timeline" if role == "operator" else "esc closes")
        assert not driven.app.screen.query(Notice) or not driven.app.screen.query_one(Notice).display
