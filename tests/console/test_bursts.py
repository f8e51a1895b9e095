"""Keys that arrive in one piece, as from a fast typist or over a slow line, mean what they would one at a time."""

from __future__ import annotations

import pytest
from textual.widgets import Button, Input

from console.screens.confirm import ConfirmDialog
from console.screens.confirm_count import ConfirmCountDialog
from console.screens.files_dialog import FilesDialog
from console.screens.history_dialog import HistoryDialog
from console.screens.image_form import ImageForm
from console.screens.name_dialog import NameDialog
from console.screens.palette import PaletteDialog
from console.screens.picker import PickerDialog
from console.widgets.filter_field import FilterField
from console.widgets.find_bar import FindBar
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import typical

LETTERS = "qyKXDdUrno12345678"
"""Each is a command somewhere, some dangerous."""


async def at(driven: Driven, digit: str, sign: str) -> None:
    await driven.until(lambda: driven.app.last_health is not None)
    await driven.mode(digit, sign)


@pytest.mark.parametrize(
    ("digit", "sign"), [("2", "vm-0a31"), ("3", "python"), ("4", "python"), ("6", "job"), ("9", "vmm")]
)
async def test_a_filter_takes_what_is_typed_behind_its_key(digit: str, sign: str) -> None:
    async with driving(console(typical()), (120, 36)) as driven:
        await at(driven, digit, sign)
        await driven.burst("/" + LETTERS)
        assert driven.app.screen.query_one(FilterField).value == LETTERS
        assert len(driven.app.screen_stack) == 1


async def test_one_burst_goes_to_an_area_filters_its_list_and_opens_a_row() -> None:
    engine = typical()
    async with driving(console(engine), (120, 36)) as driven:
        await at(driven, "2", "vm-0a31")
        vm = engine.vm_list[2]
        await driven.press("1")
        await driven.burst(f"2/{vm.id}\r")
        assert driven.app.current_mode == "vms"
        assert driven.table.filter == vm.id
        assert driven.table.has_focus
        await driven.burst("\r")
        await driven.sees(f"VM {vm.id}")


async def test_the_palette_takes_what_is_typed_behind_its_key_and_the_next_area_what_comes_after() -> None:
    async with driving(console(typical()), (120, 36)) as driven:
        await at(driven, "2", "vm-0a31")
        await driven.burst(":" + LETTERS)
        assert isinstance(driven.app.screen, PaletteDialog)
        assert driven.app.screen.query_one(Input).value == LETTERS
        await driven.burst("\x15")
        await driven.burst("images python\r/xyz")
        assert driven.app.current_mode == "images"
        assert driven.app.screen.query_one(FilterField).value.endswith("xyz")


async def test_a_theme_picker_that_reads_files_first_takes_what_is_typed_meanwhile() -> None:
    async with driving(console(typical()), (120, 36)) as driven:
        await at(driven, "2", "vm-0a31")
        await driven.burst("Tmono")
        assert isinstance(driven.app.screen, PickerDialog)
        assert driven.app.screen.query_one(Input).value == "mono"


async def test_find_takes_what_is_typed_behind_its_key_and_gives_the_keys_back_in_order() -> None:
    engine = typical()
    engine.job_lines = tuple(f"line {number} q" for number in range(40))
    async with driving(console(engine), (120, 36)) as driven:
        await at(driven, "6", "line 39")
        driven.output.focus()
        await driven.until(lambda: driven.output.has_focus)
        await driven.burst("/line 1\rnnN")
        bar = driven.app.screen.query_one(FindBar)
        assert bar.query_one(Input).value == "line 1"
        assert driven.output.has_focus
        await driven.sees("1 of 11")  # the newest, the first, the second, and back
        await driven.burst("/Xq")
        assert "Xq" in bar.query_one(Input).value
        assert driven.app.current_mode == "jobs"


async def test_a_form_takes_what_is_typed_behind_its_key_and_tab_moves_between() -> None:
    async with driving(console(typical()), (120, 36)) as driven:
        await at(driven, "3", "python")
        await driven.burst("aDX\tKq\t\x1b[Zy")
        form = driven.app.screen
        assert isinstance(form, ImageForm)
        assert (form.values["packages"], form.values["pypi"]) == ("DX", "y")  # tab selects what is there


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_keys_behind_a_tab_go_to_the_field_that_it_leads_to(size: tuple[int, int]) -> None:
    """Out of a text area, a line, a field that is chosen, and back."""
    async with driving(console(typical()), size) as driven:
        await at(driven, "5", "Python")
        driven.app.screen.set_focus(None)
        await driven.burst("eqX\rDu\tone\tA=1\rB=2\t25\x1b[Z\x1b[Z two\x1b[Zabc")
        buffer = driven.app.screen.desk.current
        assert (buffer.stdin, buffer.env) == ("qX\nDuabc", "A=1\nB=2")
        assert buffer.values == {"limits.timeout_s": "25"}
        assert buffer.args in ("two", " two")  # a line is selected when one comes to it


@pytest.mark.parametrize("keys", ["K\r", "K\r\r", "K \r"])
async def test_a_burst_never_agrees_to_a_question_that_could_not_be_read(keys: str) -> None:
    engine = typical()
    async with driving(console(engine), (120, 36)) as driven:
        await at(driven, "2", "vm-0a31")
        before = engine.vm_list
        await driven.burst(keys)
        await driven.pilot.pause()
        assert engine.vm_list == before
        assert not isinstance(driven.app.screen, ConfirmDialog | ConfirmCountDialog)


async def test_many_marked_are_not_killed_by_a_burst_either() -> None:
    engine = typical()
    async with driving(console(engine), (120, 36)) as driven:
        await at(driven, "2", "vm-0a31")
        before = engine.vm_list
        await driven.burst("*K\r\r")
        assert isinstance(driven.app.screen, ConfirmCountDialog)
        assert engine.vm_list == before


async def test_a_question_that_asks_the_engine_first_gets_the_enter_behind_its_key() -> None:
    engine = typical()
    engine.vm_list = ()
    async with driving(console(engine), (120, 36)) as driven:
        await at(driven, "4", "python")
        before = engine.snapshot_list
        await driven.burst("D\r")
        assert len(driven.app.screen_stack) == 1
        assert engine.snapshot_list == before


async def test_dialogs_over_dialogs_take_turns_within_one_burst() -> None:
    async with driving(console(typical()), (120, 36)) as driven:
        await at(driven, "5", "Python")
        driven.app.screen.set_focus(None)
        await driven.burst("fnq.txt")
        assert isinstance(driven.app.screen, NameDialog)
        assert driven.app.screen.query_one(Input).value == "q.txt"
        await driven.press("escape")
        assert isinstance(driven.app.screen, FilesDialog)


async def test_the_history_finds_what_is_typed_behind_its_key() -> None:
    async with driving(console(typical()), (120, 36)) as driven:
        await at(driven, "5", "Python")
        driven.app.screen.set_focus(None)
        await driven.burst("h/CDq")
        assert isinstance(driven.app.screen, HistoryDialog)
        assert driven.app.screen.query_one(Input).value == "CDq"


async def test_code_pasted_key_by_key_arrives_whole_and_at_once() -> None:
    code = "print('quite Kind')\n" * 40
    async with driving(console(typical()), (120, 36)) as driven:
        await at(driven, "5", "Python")
        driven.app.screen.set_focus(None)
        await driven.burst("i")
        await driven.burst(code.replace("\n", "\r"))
        await driven.until(lambda: code.split("\n")[0] in driven.text)
        assert driven.app.current_mode == "scratchpad"


async def test_what_was_typed_for_a_dialog_that_does_not_come_in_time_is_dropped_and_told() -> None:
    engine = typical()
    engine.vm_list = ()
    async with driving(console(engine), (120, 36)) as driven:
        await at(driven, "4", "python")
        engine.stalled = True
        await driven.burst("D2\r")
        assert driven.app.current_mode == "snapshots"
        await driven.sees("2 keys typed ahead dropped")
        await driven.burst("j")
        engine.stalled = False
        engine.stall.set()
        await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog))


async def test_the_button_with_the_focus_of_a_question_is_cancel() -> None:
    async with driving(console(typical()), (120, 36)) as driven:
        await at(driven, "2", "vm-0a31")
        await driven.burst("K")
        focused = driven.app.screen.focused
        assert isinstance(focused, Button)
        assert focused.id == "no"
