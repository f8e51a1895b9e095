"""All areas of the console, for tests of what must hold in each. An area that is added is walked by itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from console.modes import MODES, Mode
from console.widgets.line_table import LineTable
from console.widgets.status_line import STARTING, StatusLine
from tests.console.driving import Driven

# That each has a screen is what test_actions proves.
AREAS: tuple[Mode, ...] = tuple(mode for mode in MODES if find_spec(mode.screen.partition(":")[0]))
WAITING = ("…",)
"""What a table shows before the first answer."""


async def go(driven: Driven, mode: Mode) -> None:
    """Show an area and wait for its data."""
    app = driven.app
    await driven.until(lambda: app.last_health is not None, "the first answer")
    app.action_show_mode(mode.name)
    await driven.until(lambda: app.current_mode == mode.name and app.screen.query(StatusLine), mode.name)
    await driven.until(lambda: app.screen.status.engine is not STARTING, f"an answer in {mode.name}")
    await driven.until(lambda: all(table._empty != WAITING for table in tables(driven)), f"rows in {mode.name}")
    await driven.pilot.pause()


def tables(driven: Driven) -> Iterator[LineTable]:
    yield from driven.app.screen.query(LineTable)
