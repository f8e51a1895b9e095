"""Keys, help, palette and action bar come from one registry, so none of them can forget an action."""

from __future__ import annotations

import pytest
from textual.binding import Binding
from textual.keys import _character_to_key
from textual.widgets import Static

from console.actions import (
    ACTIONS,
    CATALOGUE,
    DIALOGS,
    EVERYWHERE,
    LISTS,
    MARKS,
    OUTPUT,
    SCRATCH_FILES,
    SCRATCH_HISTORY,
    SCRATCH_INPUTS,
    SERIES,
    SORTING,
    VM,
    Action,
    actions,
    bindings,
)
from console.app import ConsoleApp
from console.modes import MODES, Mode
from console.screens.catalogue import CatalogueScreen
from console.screens.dialog import Dialog
from console.screens.files_dialog import FilesDialog
from console.screens.help import HelpDialog
from console.screens.history_dialog import HistoryDialog
from console.screens.inputs_dialog import InputsDialog
from console.screens.list_screen import ListScreen
from console.screens.mode_screen import ModeScreen
from console.screens.palette import PaletteDialog
from console.screens.vm_detail import VmDetailScreen
from console.widgets.filter_field import FilterField
from console.widgets.line_table import LineTable
from console.widgets.output_view import OutputView
from console.widgets.series_table import SeriesTable
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import typical

EATEN = {"ctrl+a", "ctrl+b", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+z", "ctrl+c"}
PLACES = {
    EVERYWHERE: ConsoleApp,
    LISTS: LineTable,
    SORTING: LineTable,
    MARKS: LineTable,
    VM: VmDetailScreen,
    OUTPUT: OutputView,
    DIALOGS: Dialog,
    CATALOGUE: CatalogueScreen,
    SERIES: SeriesTable,
    SCRATCH_HISTORY: HistoryDialog,
    SCRATCH_FILES: FilesDialog,
    SCRATCH_INPUTS: InputsDialog,
}
AREAS = {mode.name: mode for mode in MODES}


def owner(where: str) -> type:
    """The class that carries out the actions of a place."""
    return PLACES[where] if where in PLACES else type(AREAS[where].open())


def keys_of(action: Action) -> list[str]:
    return action.keys.split(",")


def named(action: Action) -> str:
    return f"{action.where}.{action.call}"


async def shown(driven: Driven, mode: Mode) -> ModeScreen:
    driven.app.action_show_mode(mode.name)
    await driven.until(lambda: driven.app.current_mode == mode.name and driven.app.last_health is not None)
    screen = driven.app.screen
    assert isinstance(screen, ModeScreen)
    await driven.until(lambda: screen._answered_at is not None)
    return screen


@pytest.mark.parametrize("action", ACTIONS, ids=named)
def test_each_action_is_carried_out_where_it_belongs(action: Action) -> None:
    assert callable(getattr(owner(action.where), f"action_{action.name}"))


@pytest.mark.parametrize("action", ACTIONS, ids=named)
def test_each_key_of_an_action_is_bound_where_it_belongs(action: Action) -> None:
    bound = {binding.key: binding.action for binding in Binding.make_bindings(owner(action.where).BINDINGS)}
    assert {key: bound.get(key) for key in keys_of(action)} == dict.fromkeys(keys_of(action), action.call)


@pytest.mark.parametrize("action", ACTIONS, ids=named)
def test_no_action_needs_a_key_that_terminals_eat(action: Action) -> None:
    assert EATEN.isdisjoint(keys_of(action))
    assert not any(key.startswith(("alt+", "shift+f")) for key in keys_of(action))


@pytest.mark.parametrize("action", ACTIONS, ids=named)
def test_no_printable_key_has_priority_over_a_field(action: Action) -> None:
    for binding in Binding.make_bindings(bindings(action.where)):
        assert not binding.priority or binding.key.startswith(("ctrl+", "f"))
        assert not binding.priority or len(binding.key) > 1


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_no_key_means_two_things_in_one_place(mode: Mode) -> None:
    keys = [key for place in (mode.name, EVERYWHERE) for action in actions(place) for key in keys_of(action)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_no_key_of_an_area_is_one_of_its_list(mode) -> None:
    """The list has the keys first, so the area would never get them."""
    if not isinstance(mode.open(), ListScreen):
        pytest.skip("no list with an order and marks")
    own = {key: action.name for action in actions(mode.name) for key in keys_of(action)}
    lists = {
        key: action.name for place in (LISTS, SORTING, MARKS) for action in actions(place) for key in keys_of(action)
    }
    assert {key: name for key, name in own.items() if lists.get(key, name) != name} == {}


def test_nothing_needs_a_function_key() -> None:
    others = {"next_mode", "previous_mode"}  # digits do the same
    for action in ACTIONS:
        plain_keys = [key for key in keys_of(action) if not (key[0] == "f" and key[1:].isdigit())]
        assert plain_keys or action.name in others, action


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_help_names_every_action_that_has_a_key_here(mode: Mode) -> None:
    async with driving(console(typical()), (200, 50)) as driven:
        screen = await shown(driven, mode)
        places = [mode.name, *screen.list_places, EVERYWHERE, DIALOGS]
        places += [OUTPUT] if screen.query(OutputView) else []
        await driven.press("f1")
        await driven.until(lambda: isinstance(driven.app.screen, HelpDialog))
        lines = str(driven.app.screen.query_one("VerticalScroll Static", Static).content)
        for place in places:
            for action in actions(place):
                assert action.about in lines, action
                assert action.all_keys in lines, action


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_the_palette_offers_every_action_that_can_be_done_here(mode: Mode) -> None:
    async with driving(console(typical()), (200, 50)) as driven:
        screen = await shown(driven, mode)
        await driven.press("ctrl+p")
        await driven.until(lambda: isinstance(driven.app.screen, PaletteDialog))
        offered = set(driven.table.keys)
        here = {named(action) for action in actions(mode.name) if screen.check_action(action.name, ())}
        everywhere = {named(action) for action in actions(EVERYWHERE) if action.name != "open_engine"}
        lists = {named(action) for place in screen.list_places for action in actions(place)}
        output = {named(action) for action in actions(OUTPUT)} if screen.query(OutputView) else set[str]()
        assert offered == here | everywhere | lists | output


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_what_changes_something_is_refused_when_read_only(mode: Mode) -> None:
    async with driving(console(typical(), read_only=True), (200, 50)) as driven:
        screen = await shown(driven, mode)
        changing = [action for action in actions(mode.name) if action.changes]
        assert not [action for action in changing if screen.check_action(action.name, ())]
        await driven.press("ctrl+p")
        await driven.until(lambda: isinstance(driven.app.screen, PaletteDialog))
        assert set(driven.table.keys).isdisjoint(named(action) for action in changing)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_no_key_of_the_console_takes_what_is_typed_into_a_field(mode: Mode) -> None:
    everything = "".join(chr(code) for code in range(0x20, 0x7F))
    async with driving(console(typical()), (200, 50)) as driven:
        screen = await shown(driven, mode)
        if not screen.query(FilterField):
            pytest.skip("an area with fields of its own tests them itself")
        field = screen.query_one(FilterField)
        field.open(screen.query_one(LineTable))
        await driven.until(lambda: field.has_focus)
        await driven.press(*(_character_to_key(char) for char in everything))
        await driven.until(lambda: field.value == everything, field.value)
        assert driven.app.current_mode == mode.name
        assert not driven.app.screen.is_modal
