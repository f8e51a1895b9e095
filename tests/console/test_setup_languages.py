"""The wizard for other languages than Python, and for several: what is built, left out, refused, and whose it is."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from console.screens.languages_dialog import LanguagesDialog
from console.setup_stages import Stage
from engine.errors import NotReadyError
from engine.models import BuildLanguageRequest, Job, JobState
from tests.console.driving import Driven, console, driving
from tests.console.setup_driving import TICK_S, stage, wizard
from tests.console.setup_samples import SetupHost, half_done, ready


async def opened_choice(driven: Driven) -> None:
    """Open the dialog in which the wizard's languages are chosen."""
    await driven.press("o")
    await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))


async def test_another_language_is_built_as_the_catalogue_has_it() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await opened_choice(driven)
        assert driven.table.marked == ["python"]
        await driven.press("space", "slash", *"forth", "enter", "space", "enter")
        await driven.sees("gforth")
        await driven.press("enter")
        await driven.until(lambda: engine.built_languages)
        assert [built.language for built in engine.built_languages] == ["forth"]
        assert engine.asked == []


async def test_clearing_what_languages_are_filtered_by_empties_the_find_field_and_keeps_the_marks() -> None:
    async with driving(console(half_done(), tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await opened_choice(driven)
        field = driven.app.screen.query_one(Input)
        await driven.press("slash", *"forth", "enter", "escape")
        await driven.until(lambda: not field.value)
        assert (driven.table.keys, driven.table.marked) == (["python", "bash", "forth"], ["python"])
        await driven.press("s")
        assert isinstance(driven.app.screen, LanguagesDialog)


async def test_several_languages_are_built_one_after_the_other_wherever_one_looks() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await opened_choice(driven)
        driven.table.move_cursor("forth")
        await driven.press("space", "enter")
        await driven.sees("○ Python, ○ Forth")
        await driven.press("enter")
        await driven.until(lambda: engine.asked == [("image",)])
        assert engine.built_languages == []
        await driven.mode("1", "Degraded")
        engine.do("image")
        engine.end()
        await driven.until(lambda: [built.language for built in engine.built_languages] == ["forth"])
        await driven.mode("8", "✓ Python, ○ Forth")
        engine.done.add("forth")
        engine.end()
        await driven.sees("A first snapshot")


async def test_after_a_build_that_fails_no_other_is_begun_until_asked_for() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await opened_choice(driven)
        driven.table.move_cursor("forth")
        await driven.press("space", "enter", "enter")
        await driven.until(lambda: engine.asked == [("image",)])
        engine.end(JobState.FAILED, "No room.", "Delete images.")
        await driven.sees("enter tries again")
        assert engine.built_languages == []
        await driven.press("enter")
        await driven.until(lambda: len(engine.asked) == 2)


async def two_images(driven: Driven, engine: SetupHost) -> None:
    """Begin the images of Python and Forth, and see that of Python begun."""
    await driven.mode("8", "A first image")
    await opened_choice(driven)
    driven.table.move_cursor("forth")
    await driven.press("space", "enter")
    await driven.sees("enter makes 2 images")
    await driven.press("enter")
    await driven.until(lambda: engine.asked == [("image",)])


async def test_a_later_build_that_is_refused_is_told_and_takes_no_keys_from_other_work() -> None:
    engine = half_done()

    async def refuse(request: BuildLanguageRequest) -> Job:
        raise NotReadyError("There is no room", remedy="Make some")

    engine.build_language = refuse  # type: ignore[method-assign]
    async with driving(console(engine, tick_s=TICK_S), (160, 40)) as driven:
        await two_images(driven, engine)
        await driven.mode("5", "runs the code")
        engine.do("image")
        engine.end()
        await driven.sees("The image of Forth was not begun")
        assert not driven.app.screen.is_modal
        assert driven.app.current_mode == "scratchpad"


async def test_of_a_series_what_has_become_ready_meanwhile_is_not_built_again() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await two_images(driven, engine)
        engine.do("image")
        engine.done.add("forth")
        engine.end()
        await stage(driven, Stage.SNAPSHOT)
        await driven.until(lambda: not wizard(driven)._series.waiting)
    assert engine.built_languages == []


async def test_several_images_are_told_with_what_they_take_together() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S), (120, 36)) as driven:
        await driven.mode("8", "A first image")
        await opened_choice(driven)
        driven.table.move_cursor("forth")
        await driven.press("space", "enter")
        await driven.sees("build 2 images one after the other")
        await driven.sees("59 MiB on disk, built in 42 s; 1 of 2 measured")
        await driven.sees("python3, gforth")


async def test_another_s_image_that_failed_is_not_offered_to_be_tried_again_and_its_success_is_looked_at() -> None:
    engine = half_done()
    engine._job("image", "Build Forth")
    engine.end(JobState.FAILED, "No room.", "Delete images.")
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await driven.sees("enter makes it")
        assert "No room" not in driven.text
        engine._job("image", "Build image python")
        engine.done.add("image")
        engine.end()
        await driven.sees("The image is there.")


async def test_a_build_that_failed_is_not_tried_again_for_another_language() -> None:
    engine = half_done()
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "A first image")
        await driven.press("enter")
        await driven.until(lambda: engine.asked == [("image",)])
        engine.do("image")
        engine.end()
        await stage(driven, Stage.SNAPSHOT)
        await driven.press("b", "o")
        await driven.until(lambda: isinstance(driven.app.screen, LanguagesDialog))
        await driven.press("space")
        driven.table.move_cursor("forth")
        await driven.press("space", "enter")
        await driven.sees("enter makes it")
        await driven.press("enter")
        await driven.until(lambda: engine.built_languages)
        engine.end(JobState.FAILED, "No room.", "Delete images.")
        await driven.sees("enter tries again")
        engine.done.discard("image")
        await opened_choice(driven)
        await driven.press("space")
        driven.table.move_cursor("python")
        await driven.press("space", "enter", "r")
        await driven.sees("enter makes it")
        assert "No room" not in driven.text


async def test_the_image_that_another_console_builds_for_the_same_language_is_followed() -> None:
    engine = half_done()
    engine._job("image", "Build Python")
    engine.log("said to the other console")
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "said to the other console")
        await driven.sees("it goes on in the engine")


@pytest.mark.parametrize("left_out", [Stage.IMAGE, Stage.SNAPSHOT])
async def test_another_language_s_image_and_snapshot_can_be_left_out_where_python_s_are_there(left_out: Stage) -> None:
    engine = ready()
    if left_out is Stage.SNAPSHOT:
        engine.done.add("forth")
    async with driving(console(engine, tick_s=TICK_S)) as driven:
        await driven.mode("8", "Everything is ready.")
        await driven.press("o", *"forth", "enter")
        await driven.sees("Forth")
        await driven.press("b", "b") if left_out is Stage.IMAGE else await driven.press("b")
        await stage(driven, left_out)
        await driven.press("space")
        await driven.sees("left out: space takes it in again")
        await driven.press("space")
        await driven.sees("enter makes it")


async def test_a_snapshot_without_its_image_leads_to_image() -> None:
    async with driving(console(ready(), tick_s=TICK_S)) as driven:
        await driven.mode("8", "Everything is ready.")
        await driven.press("o", *"forth", "enter")
        await driven.sees("enter leads to its image")
        await driven.press("b")
        await stage(driven, Stage.SNAPSHOT)
        await driven.sees("It needs the image of Forth, which is not done: see Image.")
        await driven.press("enter")
        await stage(driven, Stage.IMAGE)
