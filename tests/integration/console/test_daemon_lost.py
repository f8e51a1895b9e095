"""A console over a real daemon that is killed and started again: all on its screen stays, and it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from console.app import ConsoleApp
from console.connection import Connection, ConnectionState
from console.widgets.code_editor import CodeEditor
from engine.api import EngineApi
from engine.client import RemoteEngine
from engine.settings import Settings
from tests.console.driving import Driven, driving
from tests.integration.console.terminal import VMDECK, environment

pytestmark = pytest.mark.vm


@asynccontextmanager
async def daemon(lab: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """`vmdeck serve`, listening; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        VMDECK,
        "serve",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(lab),
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert b"Listening" in await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def console(lab: Settings) -> ConsoleApp:
    @asynccontextmanager
    async def factory(_tell: Callable[[str], None], *, may_start: bool) -> AsyncIterator[EngineApi]:
        async with RemoteEngine(lab.socket_path) as engine:
            yield engine

    return ConsoleApp(Connection(factory), tick_s=0.2)


async def run_again(driven: Driven, sign: str) -> None:
    await driven.press("ctrl+r")
    async with asyncio.timeout(60):
        while sign not in driven.output.text:
            await driven.pilot.pause(0.05)


async def test_a_daemon_that_is_killed_and_started_again_leaves_the_screen_as_it_was(lab: Settings) -> None:
    app = console(lab)
    async with daemon(lab) as first, driving(app) as driven:
        await driven.until(lambda: app.connection.state is ConnectionState.OPEN)
        await driven.mode("3", "python")
        cursor = driven.table.cursor
        await driven.mode("5", "Python")
        app.screen.query_one(CodeEditor).load_text("print('mine', 6 * 7)")
        await run_again(driven, "mine 42")
        first.kill()
        await first.wait()
        await driven.sees("✗ lost")
        assert "mine 42" in driven.output.text
        async with daemon(lab) as second:
            assert second.pid != first.pid
            await driven.sees("The engine was restarted")
            await driven.until(lambda: app.connection.state is ConnectionState.OPEN)
            assert app.screen.query_one(CodeEditor).text == "print('mine', 6 * 7)"
            app.screen.query_one(CodeEditor).load_text("print('again', 6 * 7)")
            await run_again(driven, "again 42")
            await driven.press("escape")
            await driven.mode("3", "python")
            assert driven.table.cursor == cursor


async def test_a_run_that_the_killed_daemon_had_is_told_as_unknown(lab: Settings) -> None:
    app = console(lab)
    async with daemon(lab) as process, driving(app) as driven:
        await driven.until(lambda: app.connection.state is ConnectionState.OPEN)
        await driven.mode("5", "Python")
        app.screen.query_one(CodeEditor).load_text("import time\nprint('begun', flush=True)\ntime.sleep(60)")
        await run_again(driven, "begun")
        process.kill()
        await process.wait()
        await driven.sees("✗ lost")
        await driven.until(lambda: "The connection to the engine was lost before it answered" in driven.output.text)
        assert "begun" in driven.output.text
        async with daemon(lab):  # which removes what is left of the VM
            await driven.sees("The engine was restarted")
