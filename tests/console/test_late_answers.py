"""An answer that comes late opens nothing over what the operator does by then, and closes nothing but its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from console.app import ConsoleApp
from console.screens.confirm import ConfirmDialog
from console.screens.form import FormDialog
from console.screens.setting_form import SettingForm
from console.widgets.line_table import LineTable
from engine.errors import InternalError
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import FakeEngine, typical

LATE: dict[str, tuple[str, str, Sequence[str], str]] = {
    "what a fix would do": ("setup_steps", "overview", ("f",), "f asks again"),
    "who uses a snapshot": ("vms", "snapshots", ("D",), "D asks again"),
    "what a run did": ("run_request", "runs", ("o",), "o asks again"),
    "a job that was begun": ("refresh_snapshot", "snapshots", ("u",), "6 shows it"),
}
"""What is late: the call, the area, its keys, and what is told instead."""


class Held:
    """A call of the fake engine that answers when the test says so."""

    def __init__(self, engine: FakeEngine, call: str) -> None:
        self.asked, self.answer = asyncio.Event(), asyncio.Event()
        self.error: InternalError | None = None
        real = getattr(engine, call)

        async def held(*args: object, **kwargs: object) -> object:
            self.asked.set()
            await self.answer.wait()
            if self.error is not None:
                raise self.error
            return await real(*args, **kwargs)

        setattr(engine, call, held)


async def shown(driven: Driven, area: str) -> None:
    app = driven.app
    await driven.until(lambda: app.last_health is not None)
    app.action_show_mode(area)
    await driven.until(lambda: app.current_mode == area)
    await driven.until(lambda: any(table.keys for table in app.screen.query(LineTable)))


def told(driven: Driven, words: str) -> bool:
    """Whether a short note says this, wherever its lines break."""
    return any(words in note.message for note in driven.app._notifications)


async def elsewhere(driven: Driven, area: str) -> None:
    driven.app.action_show_mode(area)
    await driven.until(lambda: driven.app.current_mode == area)


async def begun(driven: Driven, area: str, held: Held, keys: Sequence[str]) -> None:
    """Press the keys; the answer is on its way."""
    if area == "overview":
        fixable = next(key for key in driven.table.keys if key.startswith("snapshot"))
        driven.table.move_cursor(fixable)
    await driven.pilot.press(*keys)
    await asyncio.wait_for(held.asked.wait(), 10)


@pytest.mark.parametrize("late", LATE)
async def test_a_late_answer_is_told_and_opens_nothing_elsewhere(late: str) -> None:
    call, area, keys, said = LATE[late]
    engine = typical()
    async with driving(console(engine), (120, 36)) as driven:
        await shown(driven, area)
        held = Held(engine, call)
        await begun(driven, area, held, keys)
        await elsewhere(driven, "images")
        held.answer.set()
        await driven.until(lambda: told(driven, said))
        assert (driven.app.current_mode, driven.app.screen.is_modal) == ("images", False)


@pytest.mark.parametrize("late", LATE)
async def test_a_late_failure_is_told_and_takes_no_keys_elsewhere(late: str) -> None:
    call, area, keys, _ = LATE[late]
    engine = typical()
    async with driving(console(engine), (120, 36)) as driven:
        await shown(driven, area)
        held = Held(engine, call)
        held.error = InternalError("It went wrong.")
        await begun(driven, area, held, keys)
        await elsewhere(driven, "images")
        held.answer.set()
        await driven.until(lambda: told(driven, "It went wrong."))
        assert not driven.app.screen.is_modal


async def quit_question(app: ConsoleApp) -> ConfirmDialog:
    dialog = ConfirmDialog("Quit?", "This ends.", yes="Quit")
    await app.push_screen(dialog)
    return dialog


async def test_a_form_whose_answer_comes_while_another_dialog_lies_over_it_closes_after_that_one() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await shown(driven, "settings")
        name = next(one.name for one in engine.setting_list if one.editable and not one.choices)
        driven.table.move_cursor(name)
        await driven.press("e")
        await driven.until(lambda: isinstance(driven.app.screen, SettingForm))
        held = Held(engine, "set_setting")
        await driven.pilot.press("enter")
        await asyncio.wait_for(held.asked.wait(), 10)
        over = await quit_question(driven.app)
        held.answer.set()
        await driven.until(lambda: engine.set_values)
        await driven.pilot.pause()
        assert driven.app.screen is over
        await driven.press("escape")
        await driven.until(lambda: not driven.app.screen.is_modal)
        await driven.until(lambda: told(driven, "from the engine's next start on"))


async def test_a_form_that_was_left_before_its_answer_came_takes_nothing_away() -> None:
    engine = typical()
    async with driving(console(engine)) as driven:
        await shown(driven, "snapshots")
        await driven.press("n")
        await driven.until(lambda: isinstance(driven.app.screen, FormDialog))
        form = driven.app.screen
        await driven.app.workers.wait_for_complete(list(form.workers))
        held = Held(engine, "create_snapshot")
        assert isinstance(form, FormDialog)
        form.choose("language", "python")
        form.field("name").value = "mine"
        form.field("name").entry.focus()
        await driven.pilot.press("enter")
        await asyncio.wait_for(held.asked.wait(), 10)
        await driven.pilot.press("escape")
        await driven.until(lambda: not driven.app.screen.is_modal)
        held.answer.set()
        await driven.pilot.pause()
        assert driven.app.current_mode == "snapshots"
