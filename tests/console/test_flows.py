"""What an operator does, and what the console must do then."""

from __future__ import annotations

import asyncio

import pytest

from console.screens.detail import DetailDialog
from engine.errors import BusyError, InternalError, NotReadyError
from tests.console.driving import console, driving
from tests.console.fake_engine import typical
from tests.console.samples import vm


async def test_a_stalled_engine_is_named_and_leaves_the_keys_alive() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.sees("degraded")
        engine.stalled = True
        await driven.sees("no answer")
        await driven.press("2")
        await driven.until(lambda: driven.app.current_mode == "vms")
        await driven.press("question_mark")
        await driven.sees("Keys")
        await driven.press("escape")
        engine.stalled = False
        engine.stall.set()
        await driven.sees("vm-0a31")


async def test_a_failing_engine_is_shown_with_its_remedy_and_recovers_by_itself() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        engine.failing = BusyError("All places are taken.", retry_after_s=3)
        await driven.sees("All places are taken.")
        await driven.sees("Try again in 3 s.")
        assert "vm-0a31" in driven.text
        engine.failing = None
        await driven.sees_no("All places are taken.")


async def test_a_fault_of_ours_in_a_poll_is_shown_not_fatal() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        engine.vm_list = (None,)  # type: ignore[assignment]
        await driven.press("2")
        await driven.sees("AttributeError")
        engine.vm_list = (vm(0),)
        await driven.sees("vm-0a31")


async def test_an_engine_that_does_not_open_is_named_and_can_be_opened_again() -> None:
    engine = typical()
    engine.opening = NotReadyError("Another engine holds the data folder.", remedy="End process 4711.")
    async with driving(console(engine)) as driven:
        await driven.sees("Another engine holds the data folder.")
        await driven.sees("End process 4711.")
        engine.opening = None
        await driven.press("R")
        await driven.sees("degraded")


async def test_the_engine_is_closed_with_the_console() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.sees("degraded")
        assert (engine.opened, engine.closed) == (1, 0)
    assert engine.closed == 1


async def test_hidden_areas_do_not_ask_the_engine() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.mode("3", "node22")
        engine.calls.clear()
        await driven.until(lambda: engine.calls.count("images") >= 5)
        assert "vms" not in engine.calls
        assert "metrics" not in engine.calls


async def test_the_next_question_waits_for_the_last_answer() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("2", "vm-0a31")
        engine.stalled = True
        await driven.until(lambda: driven.app.screen.status.engine.word.startswith("no answer"))
        asked = len(engine.calls)
        await driven.until(lambda: driven.app.screen.status.engine.word == "no answer 5 s")
        assert len(engine.calls) == asked


async def test_read_only_changes_nothing() -> None:
    engine = typical()
    app = console(engine, read_only=True)
    async with driving(app) as driven:
        await driven.mode("2", "vm-0a31")
        await driven.press("K")
        assert not app.screen.is_modal
        await driven.mode("3", "node22")
        await driven.press("D")
        assert not app.screen.is_modal
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.pilot.pause()
        assert engine.requests == []


async def test_function_keys_change_areas_even_while_typing() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("5", "Python")
        await driven.press("f3")
        await driven.until(lambda: driven.app.current_mode == "jobs")
        await driven.press("f2", "f2")
        await driven.until(lambda: driven.app.current_mode == "snapshots")


async def test_the_palette_reaches_an_action_by_its_name() -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        await driven.press("colon", *"scratch", "enter")
        await driven.until(lambda: driven.app.current_mode == "scratchpad")


async def test_a_terminal_too_small_says_what_is_needed() -> None:
    async with driving(console(typical()), (59, 24)) as driven:
        await driven.sees("vmdeck needs 60 x 16")
        await driven.pilot.resize_terminal(60, 16)
        await driven.sees_no("vmdeck needs")


@pytest.mark.parametrize("key", ["enter", "escape", "q"])
async def test_a_dialog_closes_with_one_key_and_leaves_nothing_behind(key: str) -> None:
    app = console(typical())
    async with driving(app) as driven:
        await driven.sees("7 ok")
        await driven.press("enter")
        await driven.until(lambda: isinstance(app.screen, DetailDialog))
        await driven.press(key)
        await driven.until(lambda: len(app.screen_stack) == 1)


async def test_an_internal_error_of_an_asked_call_is_a_dialog_not_a_crash() -> None:
    engine = typical()
    app = console(engine)
    async with driving(app) as driven:
        await driven.mode("4", "python-256m-1cpu")
        engine.failing = InternalError("The disk said no.", remedy="Look at the log.")
        await driven.press("v")
        await driven.sees("The disk said no.")
        await driven.sees("Look at the log.")
        await driven.press("escape")
        await driven.until(lambda: not app.screen.is_modal)


async def test_closing_does_not_wait_for_an_opening_that_hangs() -> None:
    engine = typical()
    app = console(engine)
    hang = asyncio.Event()

    class Hanging:
        def __init__(self, _tell: object, *, may_start: bool) -> None:
            pass

        async def __aenter__(self):
            await hang.wait()

        async def __aexit__(self, *_):
            return None

    app.connection._factory = Hanging  # type: ignore[assignment]
    async with driving(app) as driven:
        await driven.sees("starting")
    assert await app.connection.close(1.0)


async def test_output_that_is_scrolled_up_stays_and_says_what_is_below() -> None:
    engine = typical()
    engine.job_list = engine.job_list[:1]
    engine.job_lines = tuple(f"line {number}" for number in range(200))
    async with driving(console(engine)) as driven:
        await driven.mode("6", "line 199")
        driven.output.focus()
        await driven.press("g")
        await driven.sees("lines below, G follows")
        assert not driven.output.following
        await driven.press("G")
        await driven.sees("line 199")
        assert driven.output.following
