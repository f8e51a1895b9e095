"""A VMM outside its jail is told wherever it is shown: in red, and in a word for who sees no colour."""

from __future__ import annotations

from textual.color import Color

from engine.models import VmmChoice
from tests.console.driving import Driven, console, driving
from tests.console.fake_engine import FakeEngine, typical
from tests.console.samples import vm

WHY = "off by settings"


class Unjailed(FakeEngine):
    """An engine whose VMMs run without a jail."""

    def _choice(self) -> VmmChoice:
        return super()._choice().model_copy(update={"jailed": False, "jail": WHY})


def colours_of(driven: Driven, text: str) -> set[Color]:
    """Of every place on the screen that shows the text."""
    segments = [segment for strip in driven.app.screen._compositor.render_strips() for segment in strip]
    found = [segment.style.color for segment in segments if text in segment.text and segment.style]
    return {Color.from_rich_color(colour) for colour in found if colour is not None}


def red(driven: Driven) -> Color:
    return Color.parse(driven.app.theme_variables["error"])


async def test_the_overview_shows_it_in_red() -> None:
    engine = Unjailed()
    async with driving(console(engine)) as driven:
        await driven.sees("! unjailed")
        assert colours_of(driven, "! unjailed") == {red(driven)}


async def test_a_vm_without_a_jail_is_red_in_the_list_and_its_detail_says_why() -> None:
    engine = typical()
    engine.vm_list = [vm(0), vm(1, jailed=False, jail=WHY)]
    async with driving(console(engine), size=(200, 50)) as driven:
        await driven.mode("2", "! unjailed")
        assert driven.text.count("! unjailed") == 1
        assert colours_of(driven, "! unjailed") == {red(driven)}
        await driven.press("down")
        await driven.sees(f"none: {WHY}")
        assert colours_of(driven, f"none: {WHY}") == {red(driven)}


async def test_a_jailed_one_says_nothing_of_it_in_the_list() -> None:
    engine = typical()
    engine.vm_list = [vm(0, jailed=True, jail="user 1900000000, control group v2")]
    async with driving(console(engine), size=(200, 50)) as driven:
        await driven.mode("2", "user 1900000000, control group v2")
        assert "unjailed" not in driven.text
