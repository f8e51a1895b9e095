"""What an operator does with long work: watch it, stop it, try it again, search its log, go to what it made."""

from __future__ import annotations

import pytest

from console.screens.images import ImagesScreen
from console.screens.jobs import progress
from engine.errors import ConflictError
from engine.models import JobState
from tests.console.driving import console, driving
from tests.console.fake_engine import typical
from tests.console.job_samples import DONE, EACH
from tests.console.samples import JOBS
from tests.console.setup_samples import bare

TICK_S = 0.05


async def test_a_job_is_cancelled_after_a_question() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode("6", "Set up this host")
        await driven.press("X", "tab", "enter")
        await driven.until(lambda: engine.cancelled_jobs == ["j3"])
        await driven.sees("cancelled")
        assert engine.job_list[0].state is JobState.CANCELLED


async def test_the_log_of_the_job_under_the_cursor_is_followed() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("6", "installing essential packages")
        await driven.press("j")
        await driven.sees("Delete images or snapshots that are not used.")


async def test_a_running_job_tells_how_fast_it_goes_and_how_long_it_takes() -> None:
    engine = typical()
    engine.job_list = EACH
    async with driving(console(engine), (120, 36)) as driven:
        await driven.mode("6", "3.1 MiB/s")
        await driven.sees("47 s")
        await driven.press("enter")
        await driven.sees("about 47 s left")


async def test_a_failed_job_is_tried_again_and_the_cursor_goes_to_the_new_one() -> None:
    engine = typical()
    engine.job_list = EACH
    async with driving(console(engine)) as driven:
        await driven.mode("6", "3 jobs")
        await driven.press("j", "t")
        await driven.sees("the same once more")
        assert engine.retried == ["j2"]
        await driven.until(lambda: driven.table.cursor == "j13")


@pytest.mark.parametrize("moves", [(), ("j", "j")], ids=["running", "done"])
async def test_only_what_failed_can_be_tried_again(moves: tuple[str, ...]) -> None:
    engine = typical()
    engine.job_list = EACH
    async with driving(console(engine)) as driven:
        await driven.mode("6", "3 jobs")
        await driven.press(*moves, "t")
        await driven.pilot.pause()
        assert engine.retried == []


async def test_an_engine_that_does_not_try_again_says_why() -> None:
    engine = typical()
    engine.job_list = EACH
    async with driving(console(engine)) as driven:
        await driven.mode("6", "3 jobs")
        await driven.press("j")
        engine.failing = ConflictError("it can't be repeated", remedy="Start it as it was started then")
        await driven.press("t")
        await driven.sees("it can't be repeated")
        await driven.sees("Start it as it was started then")


async def test_from_a_job_to_the_snapshot_that_it_made() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await driven.mode("6", "3 jobs")
        await driven.press("j", "j", "o")
        await driven.until(lambda: driven.app.current_mode == "snapshots")
        await driven.until(lambda: driven.table.cursor == "python-256m-1cpu")


async def test_a_result_is_shown_in_its_own_list_though_another_lies_over_it() -> None:
    engine = typical()
    engine.job_list = (DONE.model_copy(update={"kind": "image", "result": "node22"}),)
    async with driving(console(engine)) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("Catalogue")
        await driven.mode("6", "1 job")
        await driven.press("o")
        await driven.until(lambda: isinstance(driven.app.screen, ImagesScreen))
        await driven.until(lambda: driven.table.cursor == "node22")


async def test_a_jump_to_an_area_goes_to_its_own_list_too() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("3", "node22")
        await driven.press("c")
        await driven.sees("Catalogue")
        await driven.press("colon", *"images node", "enter")
        await driven.until(lambda: isinstance(driven.app.screen, ImagesScreen))
        await driven.until(lambda: driven.table.keys == ["node22"])


@pytest.mark.parametrize("keys", ["question_mark", "ctrl+p", "X"])
async def test_the_log_stays_where_it_was_scrolled_to_behind_a_dialog(keys: str) -> None:
    engine = typical()
    engine.job_lines = tuple(f"line {number} of a long log" for number in range(80))
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("6", "line 79 of")
        await driven.press("tab", "pageup", "pageup")
        before = driven.output.scroll_offset
        await driven.press(keys)
        await driven.until(lambda: driven.app.screen.is_modal)
        asked = engine.calls.count("jobs")
        await driven.press("escape")
        await driven.until(lambda: not driven.app.screen.is_modal and engine.calls.count("jobs") > asked + 1)
        assert driven.output.scroll_offset == before
        assert not driven.output.following


async def test_the_log_goes_on_where_it_was_left_and_has_no_line_twice() -> None:
    engine = bare()
    job = await engine.apply_setup()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.until(lambda: driven.app.current_mode == "setup")
        await driven.mode("6", "Set up this host ...")
        await driven.mode("2", "No VM")
        engine.log("said meanwhile")
        await driven.mode("6", "said meanwhile")
        assert driven.output.text.split() == f"{job.title} ... said meanwhile".split()


async def test_the_log_of_a_job_can_be_searched() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("6", "installing essential packages")
        await driven.press("tab", "slash", *"nothing")
        await driven.sees("1 of 2")
        await driven.press("enter", "n")
        await driven.sees("2 of 2")
        await driven.press("escape")
        await driven.sees_no("2 of 2")
        assert driven.output.has_focus


async def test_read_only_neither_stops_nor_repeats() -> None:
    engine = typical()
    engine.job_list = EACH
    async with driving(console(engine, read_only=True)) as driven:
        await driven.mode("6", "3 jobs")
        await driven.press("X", "j", "t")
        await driven.pilot.pause()
        assert (engine.cancelled_jobs, engine.retried) == ([], [])
        assert not driven.app.screen.is_modal


async def test_a_job_that_one_is_led_to_is_shown_though_a_filter_would_hide_it() -> None:
    engine = typical()
    async with driving(console(engine, tick_s=0.05)) as driven:
        await driven.mode("6", "Set up this host")
        driven.table.filter = "nothing has these words"
        await driven.until(lambda: driven.table.keys == [])
        driven.app.show_job(JOBS[1])
        await driven.until(lambda: driven.table.cursor == JOBS[1].id)
        assert JOBS[1].id in driven.table.keys


@pytest.mark.parametrize(("fraction", "bar"), [(float("nan"), ""), (1.7, "100 %"), (-2.0, "  0 %")])
def test_progress_that_no_job_can_have_is_no_wider_than_any_other(fraction: float, bar: str) -> None:
    assert progress(fraction).endswith(bar)
    assert len(progress(fraction)) in (0, len(progress(0.5)))


async def test_a_list_without_rows_offers_nothing_to_sort_or_filter() -> None:
    engine = typical()
    engine.job_list = ()
    async with driving(console(engine, tick_s=0.05), (120, 36)) as driven:
        await driven.mode("6", "There was no long work yet.")
        await driven.until(lambda: "Sort" not in driven.text.splitlines()[-1])
        assert "Filter" not in driven.text.splitlines()[-1]
        engine.job_list = JOBS
        await driven.until(lambda: "Sort" in driven.text.splitlines()[-1])
