"""The frame around all areas: which engine, what is lost and comes back, jumps, the palette, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from console import connection as connection_module
from console.connection import ConnectionState
from console.screens.confirm import ConfirmDialog
from console.screens.quit_dialog import QuitDialog
from console.widgets.code_editor import CodeEditor
from engine.errors import InternalError, OutcomeUnknownError
from engine.models import RunEvent, RunRequest
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import IDENTITY, FakeEngine, endless, typical
from tests.console.samples import CHECKS, STEPS, vm

OWN = IDENTITY.model_copy(update={"serves": "console"})


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "RETRY_AFTER_S", (0.02,))


async def lose(driven: Driven, engine: FakeEngine) -> None:
    engine.gone.set()
    await driven.until(lambda: driven.app.connection.state is ConnectionState.LOST)


def first_line(driven: Driven) -> str:
    return driven.text.partition("\n")[0]


# --- loss and return


async def test_a_lost_engine_is_told_at_once_with_the_age_of_what_is_shown_which_stays() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05), (120, 36)) as driven:
        await driven.mode("2", "vm-0a31")
        await lose(driven, engine)
        await driven.sees("✗ lost, data")
        await driven.sees("s old")
        await driven.sees("R tries now")
        assert "vm-0a31" in driven.text


async def test_what_was_marked_out_typed_and_filtered_is_there_when_the_engine_is_back() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("5", "Python")
        driven.app.screen.query_one(CodeEditor).load_text("mine")
        await driven.press("escape")
        await driven.mode("2", "vm-0a31")
        await driven.press("j", "j")
        await driven.press("slash", *"py", "enter")
        cursor = driven.table.cursor
        await lose(driven, engine)
        engine.vm_list = tuple(vm(number) for number in range(9))
        engine.gone.clear()
        await driven.until(lambda: len(driven.table.keys) == 3)  # it polls again
        assert driven.table.cursor == cursor
        assert driven.table.filter == "py"
        await driven.press("5")
        await driven.until(lambda: driven.app.current_mode == "scratchpad")
        assert driven.app.screen.query_one(CodeEditor).text == "mine"
        await driven.sees("! degraded")


async def test_an_engine_with_another_id_is_told_as_restarted() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.sees("degraded")
        await lose(driven, engine)
        engine.identity = IDENTITY.model_copy(update={"id": "e-2"})
        engine.gone.clear()
        await driven.sees("The engine was restarted")


async def test_a_key_tries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "RETRY_AFTER_S", (3600.0,))
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.sees("degraded")
        await lose(driven, engine)
        engine.gone.clear()
        await driven.press("R")
        await driven.sees("The engine is back")
        await driven.sees("! degraded")


async def test_a_run_that_was_under_way_is_shown_as_lost() -> None:
    async def cut_off(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
        yield RunEvent(kind="stdout", trace_id="r-1", at_ms=2, text="before\n")
        await engine.gone.wait()
        raise OutcomeUnknownError("The connection was lost before the engine answered.", remedy="Look at its VMs.")

    engine = typical()
    engine.script = cut_off
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("before")
        await lose(driven, engine)
        await driven.sees("The connection was lost before the engine answered.")
        await driven.sees("Look at its VMs.")
        assert "before" in driven.text


async def test_what_is_asked_for_while_the_engine_is_lost_is_refused_not_kept_for_later() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await lose(driven, engine)
        await driven.press("K", "tab", "enter")
        await driven.sees("There is no connection to the engine now")
        engine.gone.clear()
        await driven.sees("! degraded")
        assert engine.killed == []


async def test_an_engine_that_can_not_be_started_shows_its_last_words_and_the_key_that_tries_again() -> None:
    engine = typical()
    engine.opening = InternalError("The engine ended before it was ready: no room", remedy="Its log is /run/engine.log")
    async with driving(console(engine)) as driven:
        await driven.sees("no room")
        await driven.sees("Its log is /run/engine.log")
        await driven.sees("R tries again")
        assert "no engine" in first_line(driven)
        engine.opening = None
        await driven.press("R")
        await driven.sees("degraded")


async def test_an_area_that_was_not_shown_during_the_loss_knows_of_it() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.mode("3", "node22")
        await lose(driven, engine)
        await driven.press("2")
        await driven.until(lambda: driven.app.current_mode == "vms")
        await driven.until(lambda: "lost" in first_line(driven))
        await driven.sees("vm-0a31")


# --- which engine


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (IDENTITY, "daemon ! degraded"),
        (OWN, "own engine ! degraded"),
        (IDENTITY.model_copy(update={"host": "metal-2"}), "metal-2 daemon ! degraded"),
    ],
    ids=["daemon", "own", "elsewhere"],
)
async def test_the_first_line_says_whose_engine_it_is_and_where(identity, words: str) -> None:
    engine = typical()
    engine.identity = identity
    app = console(engine)
    app.host = IDENTITY.host
    async with driving(app, (140, 36)) as driven:
        await driven.until(lambda: words in first_line(driven), words)


async def test_a_viewer_is_read_only_by_itself_and_is_told_why() -> None:
    engine = typical()
    engine.identity = IDENTITY.model_copy(update={"role": "viewer"})
    app = console(engine)
    async with driving(app) as driven:
        await driven.sees("look and run code")
        await driven.mode("2", "vm-0a31")
        assert " viewer " in first_line(driven)
        await driven.press("K")
        assert not app.screen.is_modal


async def test_an_engine_of_another_version_is_told() -> None:
    engine = typical()
    engine.identity = IDENTITY.model_copy(update={"version": "9.9"})
    async with driving(console(engine)) as driven:
        await driven.sees("The engine is version 9.9")


@pytest.mark.parametrize("mode", ["overview", "scratchpad", "snapshots"])
async def test_at_any_width_all_digits_the_area_and_the_engines_state_can_be_read(mode: str) -> None:
    engine = typical()
    engine.identity = IDENTITY.model_copy(update={"host": "production-metal-0007.example.net"})
    app = console(engine, read_only=True, tick_s=0.05)
    app.host = "here"
    tabs: dict[int, str] = {}
    async with driving(app) as driven:
        app.action_show_mode(mode)
        await driven.until(lambda: "! degraded" in first_line(driven))
        for columns in (60, 61, 70, 79, 80, 99, 100, 110, 129, 130, 145, 159, 160, 200):
            await driven.pilot.resize_terminal(columns, 24)
            await driven.until(lambda wanted=columns: len(first_line(driven)) == wanted)
            line = first_line(driven)
            tabs[columns], _, engine_words = line.partition("production")
            assert [char for char in tabs[columns] if char.isdigit()] == list("123456789")
            assert f" {mode.capitalize()} " in tabs[columns]
            assert "! degraded" in engine_words
            assert "read-only" in engine_words or " RO " in engine_words
        await lose(driven, engine)
        for columns, before in tabs.items():
            await driven.pilot.resize_terminal(columns, 24)
            await driven.until(lambda wanted=columns: len(first_line(driven)) == wanted)
            await driven.until(lambda: "✗ lost" in first_line(driven))
            assert first_line(driven).startswith(before.rstrip())  # what is exceptional moves nothing


async def test_a_click_on_an_area_goes_there_at_any_width() -> None:
    for columns in (60, 80, 200):
        async with driving(console(typical()), (columns, 24)) as driven:
            await driven.sees("degraded")
            at = first_line(driven).index("4")
            await driven.pilot.click("StatusLine", offset=(at, 0))
            await driven.until(lambda: driven.app.current_mode == "snapshots")


async def test_a_click_on_the_last_line_does_what_its_key_does() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("2", "vm-0a31")
        at = driven.text.splitlines()[-1].index("Filter")
        await driven.pilot.click("ActionBar", offset=(at, 0))
        await driven.press(*"vm-0a33")
        await driven.until(lambda: driven.table.keys == ["vm-0a33"])


# --- ways around


async def test_minus_goes_back_to_the_area_before() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.mode("3", "node22")
        for expected in ("vms", "images", "vms"):
            await driven.press("minus")
            await driven.until(lambda wanted=expected: driven.app.current_mode == wanted)


@pytest.mark.parametrize(
    ("typed", "mode"), [("vms", "vms"), ("snap", "snapshots"), ("ov", "overview"), ("img", "images")]
)
async def test_an_area_is_reached_by_its_name_or_how_it_begins(typed: str, mode: str) -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("6", "Set up this host")
        await driven.press("colon", *typed, "enter")
        await driven.until(lambda: driven.app.current_mode == mode)


async def test_a_jump_brings_a_filter_along() -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        await driven.press("colon", *"vms", "space", *"vm-0a33", "enter")
        await driven.until(lambda: driven.app.current_mode == "vms")
        await driven.until(lambda: driven.table.keys == ["vm-0a33"])


async def test_the_palette_has_what_was_used_last_on_top() -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        await driven.press("colon", *"redraw", "enter")
        await driven.until(lambda: not driven.app.screen.is_modal)
        await driven.press("colon")
        await driven.sees("─ Palette")
        assert driven.table.keys[0] == "everywhere.redraw"


# --- leaving


async def test_leaving_tells_what_goes_on_and_asks_nothing() -> None:
    app = console(typical())
    async with driving(app) as driven:
        await driven.sees("degraded")
        await driven.press("q")
        await driven.until(lambda: app.farewell)
    assert app.farewell.splitlines() == ["vmdeck: the engine goes on with", "  Set up this host"]


async def test_leaving_during_a_run_asks_about_the_run_and_tells_what_goes_on() -> None:
    engine = typical()
    engine.script = endless
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("tick 0")
        await driven.press("escape", "q")
        await driven.until(lambda: isinstance(app.screen, ConfirmDialog))
        await driven.sees("the run in the scratchpad")
        await driven.sees("This goes on in the engine:")
        await driven.press("enter")  # Cancel has the focus
        await driven.until(lambda: not app.screen.is_modal)
        assert engine.ended_runs == 0


async def test_leaving_during_the_first_run_of_setup_asks_too() -> None:
    engine = typical()
    engine.script = endless
    engine.job_list = ()
    engine.checks = CHECKS[3:]
    engine.steps = tuple(step.model_copy(update={"done": True}) for step in STEPS)
    app = console(engine, tick_s=0.05)
    async with driving(app, (120, 36)) as driven:
        await driven.press("8")
        await driven.sees("enter runs the code")
        await driven.press("enter")
        await driven.sees("tick 0")
        await driven.press("1", "q")
        await driven.until(lambda: isinstance(app.screen, QuitDialog))
        await driven.sees("the first run of setup")


async def test_the_key_that_leaves_says_yes_to_no_other_question() -> None:
    engine = typical()
    engine.script = endless
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("tick 0")
        await driven.press("escape")
        await driven.mode("2", "vm-0a31")
        await driven.press("K")
        await driven.until(lambda: isinstance(app.screen, ConfirmDialog))
        await driven.press("ctrl+q")
        await driven.until(lambda: isinstance(app.screen, QuitDialog))
        await driven.press("ctrl+q")
        await driven.until(lambda: app.farewell)
    assert engine.killed == []


OVER: dict[str, tuple[str, str, Sequence[str], str]] = {
    "a VM": ("2", "vm-0a31", ("enter",), "Timeline"),
    "the catalogue": ("3", "node22", ("c",), "Catalogue"),
    "a VM under a dialog": ("2", "vm-0a31", ("enter", "K"), "Kill VM"),
}
"""What lies over an area: its digit and data, the keys that lead there, and what it shows."""


@pytest.mark.parametrize("over", OVER)
async def test_a_loss_is_told_at_once_over_what_lies_on_an_area(over: str) -> None:
    digit, data, keys, sign = OVER[over]
    engine = typical()
    app = console(engine)  # whose tick never comes
    async with driving(app, (120, 36)) as driven:
        await driven.mode(digit, data)
        await driven.press(*keys)
        await driven.sees(sign)
        await lose(driven, engine)
        await driven.until(lambda: "✗ lost" in first_line(driven))


@pytest.mark.parametrize("turns", range(6))
async def test_an_area_that_is_left_stops_asking_at_whatever_moment_that_is(turns: int) -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        screen = driven.app.screen
        asking = asyncio.create_task(screen._keep_polling())
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        done, _ = await asyncio.wait({asking}, timeout=5)
        assert done
