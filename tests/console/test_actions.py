"""Keys, help, palette and action bar come from one registry, so none of them can forget an action."""

from __future__ import annotations

import pytest

from console.actions import (
    ACTIONS,
    DIALOGS,
    EVERYWHERE,
    LISTS,
    OUTPUT,
    SCRATCH_FILES,
    SCRATCH_HISTORY,
    SCRATCH_INPUTS,
    SERIES,
    Action,
    actions,
)
from console.app import ConsoleApp
from console.modes import MODES
from console.screens.dialog import Dialog
from console.screens.files_dialog import FilesDialog
from console.screens.history_dialog import HistoryDialog
from console.screens.inputs_dialog import InputsDialog
from console.widgets.line_table import LineTable
from console.widgets.output_view import OutputView
from console.widgets.series_table import SeriesTable
from tests.console.driving import console, driving
from tests.console.fake_engine import typical

EATEN = {"ctrl+a", "ctrl+b", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+z", "ctrl+c"}
OWNERS = {
    EVERYWHERE: ConsoleApp,
    LISTS: LineTable,
    OUTPUT: OutputView,
    DIALOGS: Dialog,
    SERIES: SeriesTable,
    SCRATCH_HISTORY: HistoryDialog,
    SCRATCH_FILES: FilesDialog,
    SCRATCH_INPUTS: InputsDialog,
} | {mode.name: type(mode.open()) for mode in MODES}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.where}.{action.call}")
def test_each_action_is_carried_out_where_it_belongs(action: Action) -> None:
    assert callable(getattr(OWNERS[action.where], f"action_{action.name}"))


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.where}.{action.call}")
def test_no_action_needs_a_key_that_terminals_eat(action: Action) -> None:
    keys = action.keys.split(",")
    assert EATEN.isdisjoint(keys)
    assert not any(key.startswith(("alt+", "shift+f")) for key in keys)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_no_key_means_two_things_in_one_place(mode) -> None:
    keys = [key for place in (mode.name, EVERYWHERE) for action in actions(place) for key in action.keys.split(",")]
    assert len(keys) == len(set(keys))


def test_nothing_needs_a_function_key() -> None:
    others = {"next_mode", "previous_mode"}  # digits do the same
    for action in ACTIONS:
        plain_keys = [key for key in action.keys.split(",") if not (key[0] == "f" and key[1:].isdigit())]
        assert plain_keys or action.name in others, action


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_help_and_palette_name_every_action_of_the_area(mode) -> None:
    async with driving(console(typical()), (200, 50)) as driven:
        driven.app.action_show_mode(mode.name)
        await driven.until(lambda: driven.app.current_mode == mode.name)
        await driven.press("f1")
        await driven.sees("Keys")
        for action in actions(mode.name):
            assert action.about in driven.text
        await driven.press("escape")
        await driven.press("ctrl+p")
        await driven.sees("Actions")
        offered = driven.table.keys
        allowed = [action for action in actions(mode.name) if driven.app.screen_stack[0].check_action(action.name, ())]
        assert [key for key in offered if key.startswith("screen.")] == [f"screen.{action.call}" for action in allowed]
