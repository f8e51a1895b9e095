"""What holds in every area at every size: nothing is wider than its place or cut without a sign, keys are whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Region
from textual.visual import visualize
from textual.widget import Widget

from console.modes import Mode
from console.plain import CUT_SIGN
from console.widgets.action_bar import ActionBar
from console.widgets.line_table import LineTable
from console.widgets.table_paint import CURSOR_SIGN
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import STATES
from tests.console.walk import AREAS, go, tables

SIZES = ((60, 16), (80, 24), (100, 30), (120, 36), (200, 50))
UP_AND_DOWN = (*SIZES, SIZES[2], SIZES[0])


def shown(driven: Driven) -> Iterator[tuple[Widget, Region, Region]]:
    """Widgets that can be seen, where they are, and the part of it that is not covered by their containers' edges."""
    for widget, (region, clip) in driven.app.screen._compositor.visible_widgets.items():
        if region and widget.display and widget is not driven.app.screen:
            yield widget, region, clip


def scrolled(widget: Widget) -> bool:
    """Whether it lies in something that can be scrolled to its rest."""
    return any(isinstance(each, Widget) and each.allow_vertical_scroll for each in widget.ancestors)


def rows_needed(widget: Widget) -> int:
    """Rows that the widget's text takes at the width that it has; 0 for what draws its lines itself."""
    content = widget.render()
    if not isinstance(content, Content):
        return 0
    return visualize(widget, content).get_height(widget.styles, widget.content_size.width)


def faults(driven: Driven) -> list[str]:
    return place_faults(driven) + bar_faults(driven) + table_faults(driven)


def place_faults(driven: Driven) -> list[str]:
    """Text that is wider or longer than the place that it has."""
    width, height = driven.app.size
    found = [
        f"row {y} is {cell_len(row)} wide" for y, row in enumerate(driven.text.split("\n")) if cell_len(row) != width
    ]
    for widget, region, clip in shown(driven):
        if region.right > clip.right or region.x < clip.x:
            found.append(f"{widget} at {region} is cut at {clip}")
        if not scrolled(widget) and (region.bottom > clip.bottom or region.bottom > height):
            found.append(f"{widget} at {region} is cut below at {clip}")
        if not scrolled(widget) and rows_needed(widget) > widget.content_size.height:
            found.append(
                f"{widget} needs {rows_needed(widget)} rows, has {widget.content_size.height}: {widget.render()}"
            )
    return found


def bar_faults(driven: Driven) -> list[str]:
    bar = driven.app.screen.query_one(ActionBar)
    row = driven.text.split("\n")[bar.region.y]
    offered = [f"{entry.key} {entry.action.title}" for entry in bar._entries]
    seen = [entry.strip() for entry in row.split("  ") if entry.strip()]
    wanted = [f"{entry.key} Help" for entry in bar._entries if entry.action.name == "help"]
    return [f"{entry!r} is no whole entry" for entry in seen if entry not in offered] + [
        f"{entry!r} is missing" for entry in wanted if entry not in seen
    ]


def table_faults(driven: Driven) -> list[str]:
    found: list[str] = []
    for table in tables(driven):
        if not table.keys or not table.region or not table.display:
            continue
        rows = [table.render_line(y).text for y in range(table.size.height)]
        if not any(row.startswith(CURSOR_SIGN) for row in rows):
            found.append(f"{table} does not show the row under its cursor")
        found += list(cell_faults(table))
    return found


def cell_faults(table: LineTable) -> Iterator[str]:
    """Cells and headings that are neither whole nor end with the sign of the cut."""
    layout = table._layout(table.scrollable_content_region.width)
    if sum(cells + 2 for _, cells in layout) + 1 > table.scrollable_content_region.width:
        yield f"{table}'s columns are wider than it"
    for at, cells in layout:
        title = table._columns[at].title
        if cell_len(title) > cells:
            yield f"{table}'s heading {title} has {cells} cells"
    for y in range(table._top, table.size.height):
        index = y - table._top + table.scroll_offset.y
        if index >= len(table.keys):
            return
        row, line, x = table._view.shown[index], table.render_line(y).text, 2
        for at, cells in layout:
            seen = line[x : x + cells].strip()  # texts of the samples have one cell per character
            if seen != row.cells[at].text.strip() and not seen.endswith(CUT_SIGN):
                yield f"{table}: {row.cells[at].text!r} is shown as {seen!r}"
            x += cells + 2


async def resized(driven: Driven, size: tuple[int, int]) -> None:
    await driven.pilot.resize_terminal(*size)
    await driven.until(lambda: driven.app.screen.size == size)
    await driven.pilot.pause()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("mode", AREAS, ids=lambda mode: mode.name)
async def test_everything_fits_or_ends_with_a_sign(mode: Mode, state: str) -> None:
    async with driving(console(STATES[state]()), SIZES[0]) as driven:
        await go(driven, mode)
        found: list[str] = []
        for size in UP_AND_DOWN:
            await resized(driven, size)
            found += [f"{size}: {fault}" for fault in faults(driven)]
            for table in tables(driven):
                table.action_last()
            await driven.pilot.pause()
            found += [f"{size}, last row: {fault}" for fault in faults(driven)]
            for table in tables(driven):
                table.action_first()
        assert found == []


@pytest.mark.parametrize("mode", AREAS, ids=lambda mode: mode.name)
async def test_below_the_least_size_it_says_what_it_needs(mode: Mode) -> None:
    async with driving(console(STATES["typical"]())) as driven:
        await go(driven, mode)
        for size in ((59, 24), (80, 15), (20, 5)):
            await resized(driven, size)
            await driven.sees(f"here: {size[0]} x {size[1]}")
            assert "vmdeck needs 60 x 16" in driven.text


DIALOGS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "help": ("overview", ("question_mark",), "Keys"),
    "palette": ("overview", ("colon",), "Palette ─"),
    "theme": ("overview", ("T",), "vmdeck-light"),
    "detail": ("settings", ("enter",), "VMDECK_DATA_DIR"),
    "form": ("settings", ("j", "j", "j", "e"), "default: 2"),
    "choices": ("settings", ("j", "e"), "firecracker"),
    "question": ("settings", ("j", "j", "j", "U"), "Unset max_running?"),
    "snapshot": ("snapshots", ("n",), "bash"),
    "kill": ("vms", ("K",), "Kill VM"),
}


@pytest.mark.parametrize("dialog", DIALOGS)
async def test_dialogs_fit_or_scroll(dialog: str) -> None:
    area, keys, sign = DIALOGS[dialog]
    async with driving(console(STATES["typical"]()), (80, 24)) as driven:
        await go(driven, next(mode for mode in AREAS if mode.name == area))
        await driven.press(*keys)
        await driven.sees(sign)
        for size in SIZES:
            await resized(driven, size)
            assert place_faults(driven) + table_faults(driven) == [], f"{size}\n{driven.text}"
