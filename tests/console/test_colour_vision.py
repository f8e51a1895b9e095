"""Text can be read in every theme, and in the one that is for it the states can be told apart by every kind of eyes."""

from __future__ import annotations

from itertools import combinations

import pytest

from console import themes
from tests.console.colour_vision import SIGHTS, contrast, distance

AA = 4.5  # WCAG 2.2, 1.4.3, for text of usual size
FAR_ENOUGH = 20.0
TEXTS = ("foreground", "muted", "primary", "accent", "success", "warning", "error")
STATES = ("success", "warning", "error", "accent", "foreground")
OURS = {name: file for name, file in themes.load().files.items() if not file.ansi}


@pytest.mark.parametrize("name", OURS)
def test_every_text_colour_is_readable_on_every_ground(name: str) -> None:
    colors = OURS[name].colors
    faint = {
        (text, ground): ratio
        for ground in ("background", "surface", "panel")
        for text in TEXTS
        if (ratio := contrast(getattr(colors, text), getattr(colors, ground))) < AA
    }
    assert faint == {}
    assert contrast(colors.cursor_foreground, colors.cursor_background) >= AA


@pytest.mark.parametrize("name", OURS)
def test_code_is_readable_in_every_colour_of_its_highlighting(name: str) -> None:
    file = OURS[name]
    faint = {
        capture: ratio
        for capture, style in themes.syntax_styles(file).items()
        if style.color is not None and (ratio := contrast(style.color.name, file.colors.background)) < AA
    }
    assert faint == {}


@pytest.mark.parametrize("sight", SIGHTS)
def test_states_are_far_apart_for_every_kind_of_colour_vision(sight: str) -> None:
    colors = OURS["colour-blind-safe"].colors
    near = {
        (one, other): apart
        for one, other in combinations(STATES, 2)
        if (apart := distance(getattr(colors, one), getattr(colors, other), sight)) < FAR_ENOUGH
    }
    assert near == {}


def test_the_simulation_finds_red_and_green_that_look_alike() -> None:
    assert distance("#ff6060", "#90b000", "usual") > 3 * distance("#ff6060", "#90b000", "deuteranopia")
    assert distance("#f2777a", "#7fc98f", "deuteranopia") < distance("#f2777a", "#7fc98f", "usual") / 2


def test_black_on_white_has_the_contrast_that_wcag_gives() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
