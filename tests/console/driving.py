"""Drives the console in a test: builds it over a fake engine, and waits on what is true, not on time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import textual.app
import textual.pilot
from textual._xterm_parser import XTermParser
from textual.pilot import Pilot

from console.app import ConsoleApp
from console.connection import Connection
from console.terminal import Terminal
from console.widgets.line_table import LineTable
from console.widgets.output_view import OutputView
from engine.api import EngineApi
from tests.console.fake_engine import FakeEngine
from tests.console.quiet import until_quiet
from tests.console.samples import NOW

textual.app.wait_for_idle = textual.pilot.wait_for_idle = until_quiet  # what pilots wait for after each key

NEVER_S = 3600.0
DEADLINE_S = 40.0  # patience, for machines that do much else; nothing waits that long that works
LOOK_AGAIN_S = 0.005
BUSY_S = 0.02
"""An app that is busy is looked at while it is."""
SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}


def console(
    engine: FakeEngine, *, terminal: Terminal | None = None, read_only: bool = False, tick_s: float = NEVER_S
) -> ConsoleApp:
    """An app whose clock stands still and which polls once per shown area unless told otherwise."""
    app = ConsoleApp(Connection(engine.context), terminal=terminal or Terminal(), read_only=read_only, tick_s=tick_s)
    app.now = lambda: NOW
    app.host = engine.identity.host
    return app


def connection_to(engine: AbstractAsyncContextManager[EngineApi]) -> Connection:
    """A connection that opens this engine, in the test's own process."""

    def factory(_tell: Callable[[str], None], *, may_start: bool) -> AbstractAsyncContextManager[EngineApi]:
        return engine

    return Connection(factory)


@dataclass
class Driven:
    """A running console."""

    app: ConsoleApp
    pilot: Pilot[int]

    async def until(self, condition: Callable[[], object], what: str = "", *, within_s: float = DEADLINE_S) -> None:
        """Wait for a condition; fails with the screen's text where it does not come true."""
        try:
            async with asyncio.timeout(within_s):
                await until_quiet(longest_s=BUSY_S)
                while not condition():
                    await asyncio.sleep(LOOK_AGAIN_S)
                    await until_quiet(longest_s=BUSY_S)
        except TimeoutError:
            raise AssertionError(f"not within {within_s:g} s: {what or condition}\n{self.text}") from None

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.until(lambda: self.app.keys.settled or not self.app.is_running, "keys given out")

    async def burst(self, text: str) -> None:
        """Type all at once, as a line delivers what was held up; the app has not seen the first key when the last
        is there."""
        parser = XTermParser()
        for event in parser.feed(text):
            self.app.post_message(event)
        await self.until(lambda: self.app.keys.settled and not self.app._message_queue.qsize(), "keys given out")

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.text, f"{text!r} on the screen")

    async def sees_no(self, text: str) -> None:
        await self.until(lambda: text not in self.text, f"no {text!r} on the screen")

    async def mode(self, digit: str, sign: str) -> None:
        """Go to an area and wait for something that only its data shows."""
        await self.press(digit)
        await self.sees(sign)

    @property
    def text(self) -> str:
        """What the whole terminal shows."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in lines)

    @property
    def table(self) -> LineTable:
        return self.app.screen.query_one(LineTable)

    @property
    def output(self) -> OutputView:
        return self.app.screen.query_one(OutputView)


Before = Callable[[Driven], Awaitable[None]]


def steps(*moves: tuple[Sequence[str], str]) -> Before:
    """Press keys, wait for a text, and so on."""

    async def before(driven: Driven) -> None:
        await driven.until(lambda: driven.app.last_health is not None)
        for keys, sign in moves:
            await driven.press(*keys)
            await driven.sees(sign)

    return before


@asynccontextmanager
async def driving(app: ConsoleApp, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driven]:
    async with app.run_test(size=size, notifications=True) as pilot:
        yield Driven(app, pilot)
    await app.connection.close()
