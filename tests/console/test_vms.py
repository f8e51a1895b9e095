"""What an operator does with live VMs: sort, mark, filter, look closer, end them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from console.screens.confirm import ConfirmDialog
from console.screens.confirm_count import ConfirmCountDialog
from console.screens.detail import DetailDialog
from console.screens.vm_detail import VmDetailScreen
from console.widgets.output_view import OutputView
from engine.errors import InternalError
from engine.models import SerialText
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import FakeEngine, busy, typical
from tests.console.samples import NOW, vm
from tests.console.vms_samples import SERIAL


def copies(driven: Driven) -> list[tuple[str, str]]:
    """What the console is asked to copy from now on."""
    found: list[tuple[str, str]] = []
    driven.app.copy = lambda text, what: found.append((text, what))
    return found


def cpu(engine: FakeEngine, **percents: float) -> None:
    """Give VMs, named by the last letters of their ids, another CPU use."""
    engine.vm_list = tuple(
        one.model_copy(update={"cpu_percent": percents.get(one.id[-1], one.cpu_percent)}) for one in engine.vm_list
    )


async def sort_by(driven: Driven, title: str) -> None:
    await driven.press("s")
    await driven.sees("Sort by")
    await driven.press(*title, "enter")
    await driven.until(lambda: not driven.app.screen.is_modal)


# --- order


async def test_sorting_keeps_the_cursor_on_its_row_and_shows_its_sign() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("j")
        await sort_by(driven, "private")
        await driven.sees("PRIVATE▼")
        assert driven.table.keys == ["vm-0a35", "vm-0a34", "vm-0a32", "vm-0a31", "vm-0a33"]
        assert driven.table.cursor == "vm-0a32"
        await driven.press("S")
        await driven.sees("PRIVATE▲")
        assert driven.table.keys == ["vm-0a31", "vm-0a32", "vm-0a34", "vm-0a35", "vm-0a33"]
        assert driven.table.cursor == "vm-0a32"


async def test_who_stands_at_the_top_and_sorts_sees_what_comes_first() -> None:
    engine = typical()
    engine.vm_list = tuple(vm(number) for number in range(50))
    async with driving(console(engine)) as driven:
        await driven.mode("2", "vm-0a31")
        await sort_by(driven, "private")
        await driven.until(lambda: driven.table.cursor == driven.table.keys[0])
        assert driven.table.scroll_offset.y == 0
        assert driven.table.cursor != "vm-0a31"


async def test_a_click_on_a_header_sorts_and_another_turns_it_round() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.pilot.click(driven.table, offset=(20, 0))
        await driven.sees("LANGUAGE▲")
        assert driven.table.keys == ["vm-0a32", "vm-0a35", "vm-0a33", "vm-0a31", "vm-0a34"]
        await driven.pilot.click(driven.table, offset=(20, 0))
        await driven.sees("LANGUAGE▼")
        assert driven.table.keys == ["vm-0a31", "vm-0a34", "vm-0a33", "vm-0a32", "vm-0a35"]


async def test_an_order_by_a_column_without_room_is_said_in_words() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("2", "vm-0a31")
        await sort_by(driven, "vcpu")
        await driven.sees("by VCPU ▼")


async def test_order_and_filter_survive_going_to_another_area() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("2", "vm-0a31")
        await sort_by(driven, "private")
        await driven.press("slash", *"!starting", "enter")
        wanted = ["vm-0a35", "vm-0a34", "vm-0a32", "vm-0a31"]
        await driven.until(lambda: driven.table.keys == wanted)
        await driven.mode("3", "node22")
        await driven.mode("2", "4 of 5 match '!starting'")
        assert driven.table.keys == wanted


async def test_a_word_after_a_column_is_looked_for_only_there() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("slash", *"state:run", "enter")
        await driven.until(lambda: driven.table.keys == ["vm-0a31", "vm-0a32"])


# --- marks


async def test_marks_survive_filter_and_refresh_and_leave_with_their_vm() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("space", "space")
        await driven.sees("2 marked")
        await driven.press("slash", *"javascript", "enter")
        await driven.until(lambda: driven.table.keys == ["vm-0a33"])
        assert driven.table.marked == ["vm-0a31", "vm-0a32"]
        await driven.press("escape")
        engine.vm_list = tuple(reversed(engine.vm_list[1:]))
        await driven.until(lambda: driven.table.marked == ["vm-0a32"])
        await driven.sees("1 marked")
        await driven.press("escape")
        await driven.sees_no("marked")


async def test_all_shown_rows_are_marked_with_one_key_and_freed_with_the_same() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("slash", *"state:run", "enter")
        await driven.until(lambda: len(driven.table.keys) == 2)
        await driven.press("asterisk")
        assert driven.table.marked == ["vm-0a31", "vm-0a32"]
        await driven.press("asterisk")
        assert driven.table.marked == []


async def test_killing_marked_vms_needs_their_number_typed() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("space", "space", "space", "K")
        await driven.sees("Kill 3 VMs?")
        await driven.sees("vm-0a31, vm-0a32, vm-0a33")
        await driven.press("2", "enter")
        assert isinstance(app.screen, ConfirmCountDialog)
        assert engine.killed == []
        await driven.press("backspace", "3", "enter")
        await driven.sees("3 VMs were killed.")
        assert sorted(engine.killed) == ["vm-0a31", "vm-0a32", "vm-0a33"]
        await driven.until(lambda: driven.table.keys == ["vm-0a34", "vm-0a35"])


async def test_marked_vms_that_ended_meanwhile_are_counted_not_errors() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("space", "space", "K")
        await driven.sees("Kill 2 VMs?")
        engine.vm_list = engine.vm_list[1:]
        await driven.press("2", "enter")
        await driven.sees("1 VM was killed; 1 had")


async def test_killing_a_vm_asks_first_with_cancel_focused() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("j", "K")
        await driven.sees("Kill VM vm-0a32?")
        await driven.press("enter")
        await driven.until(lambda: not app.screen.is_modal)
        assert engine.killed == []
        await driven.press("K", "tab", "enter")
        await driven.until(lambda: engine.killed == ["vm-0a32"])
        await driven.until(lambda: "vm-0a32" not in driven.table.keys)


async def test_a_kill_that_fails_says_why() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("2", "vm-0a31")
        engine.vm_list = ()
        await driven.press("K", "tab", "enter")
        await driven.sees("There is no VM vm-0a31.")
        assert isinstance(app.screen, DetailDialog)


# --- the list


async def test_cursor_and_filter_stay_while_rows_come_and_go() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("j", "j", "j")
        assert driven.table.cursor == "vm-0a34"
        engine.vm_list = tuple(reversed([vm(number) for number in range(8)]))
        await driven.until(lambda: len(driven.table.keys) == 8)
        assert driven.table.cursor == "vm-0a34"
        await driven.press("slash", *"python", "enter")
        await driven.until(lambda: driven.table.keys == ["vm-0a37", "vm-0a34", "vm-0a31"])
        engine.vm_list = tuple(vm(number) for number in range(10))
        await driven.until(lambda: driven.table.keys == ["vm-0a31", "vm-0a34", "vm-0a37", "vm-0a3a"])
        assert driven.table.cursor == "vm-0a34"
        await driven.press("escape")
        await driven.until(lambda: len(driven.table.keys) == 10)


async def test_five_hundred_vms_are_shown_and_walked() -> None:
    engine = typical()
    engine.vm_list = tuple(vm(number) for number in range(500))
    async with driving(console(engine)) as driven:
        await driven.mode("2", "500 VMs")
        await driven.press("G")
        await driven.until(lambda: driven.table.cursor == f"vm-{0x0A31 + 499:04x}")
        await driven.sees(driven.table.cursor or "")


async def test_ages_go_on_by_the_local_clock_without_asking_the_engine() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("2", " 12 s")
        asked = engine.calls.count("vms")
        app.now = lambda: NOW + timedelta(seconds=5)
        await driven.sees(" 17 s")
        assert engine.calls.count("vms") == asked


async def test_traffic_is_told_a_second_once_two_samples_came() -> None:
    engine = typical()
    engine.vm_list = (vm(0, disk_read_bytes=0, disk_written_bytes=1000, link_in_bytes=0),)
    async with driving(console(engine, tick_s=0.05), (200, 50)) as driven:
        await driven.mode("2", "vm-0a31")
        engine.vm_list = (vm(0, disk_read_bytes=20_480, disk_written_bytes=1000, link_in_bytes=4, age_s=14.0),)
        await driven.sees("  10K")
        row = next(line for line in driven.text.splitlines() if "▸ vm-0a31" in line)
        assert row.split()[9:12] == ["80M", "10K", "2"]


async def test_the_ids_of_marked_vms_are_copied_one_a_line() -> None:
    async with driving(console(typical())) as driven:
        copied = copies(driven)
        await driven.mode("2", "vm-0a31")
        await driven.press("y", "space", "space", "y")
        assert copied == [("vm-0a31", "the id of vm-0a31"), ("vm-0a31\nvm-0a32", "2 ids of VMs")]


# --- one VM


async def opened(driven: Driven) -> VmDetailScreen:
    await driven.mode("2", "vm-0a31")
    await driven.press("enter")
    screen = driven.app.screen
    assert isinstance(screen, VmDetailScreen)
    await driven.sees("Not known")
    return screen


SECTIONS = (
    "exits: this VMM does not count them",
    "Private memory  now",
    "time, entropy and identity",
    "Run /init as init process",
    "12 MiB, 310 requests",
    "throttled for 0.4 s",
    "memory of the run",
)


async def test_every_section_is_one_key_from_the_next_in_a_small_terminal() -> None:
    async with driving(console(busy())) as driven:
        await opened(driven)
        for sign in SECTIONS:
            await driven.sees(sign)
            await driven.press("right_square_bracket")
        await driven.sees(SECTIONS[0])
        await driven.press("left_square_bracket")
        await driven.sees(SECTIONS[-1])


async def test_all_sections_are_seen_at_once_in_a_large_terminal() -> None:
    async with driving(console(busy()), (200, 50)) as driven:
        await opened(driven)
        for sign in SECTIONS:
            await driven.sees(sign)


async def test_esc_goes_back_to_the_list_with_the_cursor_where_it_was() -> None:
    engine = busy()
    async with driving(console(engine)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("j", "enter")
        await driven.sees("VM vm-0a32")
        await driven.press("escape")
        await driven.until(lambda: not isinstance(driven.app.screen, VmDetailScreen))
        assert driven.table.cursor == "vm-0a32"


async def test_the_detail_of_a_vm_that_ended_stays_and_says_so() -> None:
    engine = busy()
    async with driving(console(engine, tick_s=0.05), (200, 50)) as driven:
        await opened(driven)
        engine.vm_list = engine.vm_list[1:]
        await driven.sees("■ ended after 12 s, this is the last seen of it")
        for sign in SECTIONS:
            await driven.sees(sign)  # the serial console comes when it comes
        await driven.press("K")
        assert not driven.app.screen.is_modal


async def test_a_vm_is_killed_from_its_detail_after_a_question() -> None:
    engine = busy()
    async with driving(console(engine)) as driven:
        await opened(driven)
        await driven.press("K")
        await driven.until(lambda: isinstance(driven.app.screen, ConfirmDialog))
        await driven.press("tab", "enter")
        await driven.until(lambda: engine.killed == ["vm-0a31"])
        await driven.sees("■ ended")


async def test_the_serial_console_is_followed_until_one_scrolls() -> None:
    engine = busy()
    engine.serial["vm-0a31"] = tuple(f"line {number}\r\n" for number in range(200))
    async with driving(console(engine)) as driven:
        await opened(driven)
        await driven.press(*["right_square_bracket"] * 3)
        await driven.sees("line 199")
        await driven.press("k")
        await driven.sees("lines below, G follows")
        assert "␍" not in driven.text


async def test_the_serial_console_goes_on_where_it_was_after_another_area() -> None:
    engine = busy()
    async with driving(console(engine, tick_s=0.05)) as driven:
        screen = await opened(driven)
        await driven.press(*["right_square_bracket"] * 3)
        await driven.sees("agent: run r-7f3c")
        await driven.mode("3", "node22")
        engine.serial["vm-0a31"] += ("what came meanwhile\r\n",)
        await driven.mode("2", "what came meanwhile")
        assert screen.query_one(OutputView).text.count("Linux version") == 1


async def test_bytes_of_the_serial_console_that_are_lost_are_told() -> None:
    engine = busy()

    async def serial(vm_id: str, *, after: int = 0):
        yield SerialText(offset=5000, text="the rest\r\n", lost=4096)

    engine.vm_serial = serial
    async with driving(console(engine), (200, 50)) as driven:
        await opened(driven)
        await driven.sees("!! 4.0 KiB of the console before this are not kept")
        await driven.sees("the rest")


async def test_a_serial_console_that_cannot_be_read_says_why_and_leaves_the_rest() -> None:
    engine = busy()

    async def serial(vm_id: str, *, after: int = 0):
        raise InternalError("The VMM's log is gone.")
        yield SerialText(offset=0, text="")

    engine.vm_serial = serial
    async with driving(console(engine), (200, 50)) as driven:
        await opened(driven)
        await driven.sees("✗ The VMM's log is gone.")
        assert SECTIONS[-1] in driven.text


@pytest.mark.parametrize(
    ("moves", "sign", "what"),
    [
        (0, "Snapshot     python-256m-1cpu", "Summary of vm-0a31"),
        (2, "hello           242 ms", "Timeline of vm-0a31"),
        (3, "agent: listening on vsock 5000", "Serial of vm-0a31"),
        (5, "memory\t384 MiB\t123 MiB", "Limits of vm-0a31"),
    ],
)
async def test_the_shown_section_is_copied_as_text(moves: int, sign: str, what: str) -> None:
    async with driving(console(busy())) as driven:
        copied = copies(driven)
        screen = await opened(driven)
        await driven.until(lambda: len(screen.serial.log.lines) > len(SERIAL))
        await driven.press(*["right_square_bracket"] * moves, "y", "i")
        assert sign in copied[0][0]
        assert copied[0][1] == what
        assert copied[1] == ("vm-0a31", "the id of vm-0a31")


async def test_the_help_of_a_vm_lists_its_own_keys() -> None:
    async with driving(console(busy()), (200, 50)) as driven:
        await opened(driven)
        await driven.press("question_mark")
        await driven.sees("Next section of what is known")
        await driven.sees("Choose a column to sort by")


async def test_what_the_filter_hides_is_not_ended_though_it_is_marked() -> None:
    engine = typical()
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("home", "space", "space")
        await driven.until(lambda: len(driven.table.marked) == 2)
        hidden, shown = driven.table.marked
        driven.table.filter = shown
        await driven.sees("2 marked, 1 of them hidden")
        await driven.press("K")
        await driven.sees(f"Kill VM {shown}?")
        await driven.press("tab", "enter")
        await driven.until(lambda: engine.killed)
        assert engine.killed == [shown]
        assert driven.table.marked == [hidden]
