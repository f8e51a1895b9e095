"""Themes are data: ours are complete, a user's own appear, a broken one is named and harms nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from console import preferences, themes
from console.terminal import Terminal
from console.widgets.code_editor import CodeEditor
from tests.console.driving import console, driving
from tests.console.fake_engine import typical

OURS = ("vmdeck-dark", "vmdeck-light", "high-contrast", "colour-blind-safe", "vmdeck-mono", "vmdeck-16")
FILE = """
name = "mine"
[colors]
background = "#000000"
surface = "#111111"
panel = "#222222"
foreground = "#ffffff"
muted = "#aaaaaa"
rule = "#444444"
primary = "#00aaff"
accent = "#ffaa00"
success = "#00ff00"
warning = "#ffff00"
error = "#ff0000"
cursor_background = "#333333"
cursor_foreground = "#ffffff"
"""


def user_theme(config: Path, name: str, text: str) -> None:
    folder = config / "themes"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def test_our_themes_load() -> None:
    found = themes.load()
    assert set(OURS) <= set(found.files)
    assert found.broken == ()


async def test_a_users_theme_can_be_chosen_and_is_remembered(own_config: Path) -> None:
    user_theme(own_config, "mine.toml", FILE)
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        await driven.press("T", *"mine", "enter")
        await driven.until(lambda: driven.app.theme == "mine" and not driven.app.screen.is_modal)
    assert preferences.chosen_theme() == "mine"
    assert console(typical()).theme == "mine"


async def test_leaving_the_picker_brings_the_old_theme_back() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("5", "import platform")
        await driven.press("escape", "T", *"light")
        await driven.until(lambda: driven.app.theme == "vmdeck-light")
        await driven.press("escape")
        await driven.until(lambda: driven.app.theme == "vmdeck-dark")
        editor = driven.app.screen.query_one(CodeEditor)
        expected = themes.syntax_styles(driven.app.theme_choice.file)["keyword"]
        assert editor._theme.syntax_styles["keyword"] == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not toml at all [", "mine.toml"),
        (FILE.replace('error = "#ff0000"', ""), "colors.error"),
        (FILE.replace("#ff0000", "reddish"), "colors.error"),
        (FILE + '\n[extra]\na = "b"', "extra"),
        (FILE + '\n[syntax]\nkeyword = "no style at all"', "syntax"),
        (FILE.replace('"mine"', '"vmdeck-dark"'), "taken by vmdeck-dark.toml"),
        ("#" * (themes.MAX_FILE_BYTES + 1), "over"),
    ],
)
async def test_a_broken_theme_is_named_and_harms_nothing(own_config: Path, text: str, reason: str) -> None:
    user_theme(own_config, "mine.toml", text)
    async with driving(console(typical()), (200, 50)) as driven:
        await driven.sees("Theme file mine.toml is not used")
        assert reason in driven.app.theme_choice.found.broken[0].reason + driven.app.theme_choice.found.broken[0].file
        await driven.sees("degraded")


async def test_a_broken_theme_is_in_the_picker_with_its_reason(own_config: Path) -> None:
    user_theme(own_config, "mine.toml", FILE.replace("#ff0000", "reddish"))
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        await driven.press("T", *"mine")
        await driven.sees("✗ mine.toml")
        assert driven.app.theme == themes.DEFAULT
        await driven.press("enter")
        await driven.sees("'reddish' is not a colour")
        await driven.press("escape")
        assert driven.app.theme == themes.DEFAULT
    assert preferences.chosen_theme() is None


async def test_a_theme_that_comes_while_the_console_runs_is_in_the_picker(own_config: Path) -> None:
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        user_theme(own_config, "mine.toml", FILE)
        user_theme(own_config, "torn.toml", "name =")
        await driven.press("T")
        await driven.sees("mine")
        await driven.sees("Theme file torn.toml is not used")
        await driven.press(*"mine", "enter")
        await driven.until(lambda: driven.app.theme == "mine" and not driven.app.screen.is_modal)


async def test_a_theme_that_is_changed_while_in_use_is_seen_when_the_picker_opens(own_config: Path) -> None:
    user_theme(own_config, "mine.toml", FILE)
    preferences.choose_theme("mine")
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        user_theme(own_config, "mine.toml", FILE.replace("#000000", "#000044"))
        await driven.press("T")
        await driven.until(lambda: driven.app.screen_stack[0].styles.background.hex == "#000044")


async def test_a_theme_that_goes_while_in_use_stays_until_another_is_chosen(own_config: Path) -> None:
    user_theme(own_config, "mine.toml", FILE)
    preferences.choose_theme("mine")
    async with driving(console(typical())) as driven:
        await driven.sees("degraded")
        (own_config / "themes" / "mine.toml").unlink()
        await driven.press("T")
        await driven.sees("vmdeck-light")
        await driven.press("escape")
        assert driven.app.theme == "mine"


async def test_without_colour_there_is_nothing_to_choose() -> None:
    async with driving(console(typical(), terminal=Terminal(no_colour=True))) as driven:
        await driven.sees("degraded")
        await driven.press("T")
        await driven.sees("Colours are off")
        assert driven.app.theme == themes.WITHOUT_COLOUR


@pytest.mark.parametrize(
    ("terminal", "chosen", "theme"),
    [
        (Terminal(), None, "vmdeck-dark"),
        (Terminal(light=True), None, "vmdeck-light"),
        (Terminal(light=True), "high-contrast", "high-contrast"),
        (Terminal(colour_system="standard"), None, "vmdeck-16"),
        (Terminal(colour_system="standard"), "vmdeck-light", "vmdeck-16"),
        (Terminal(colour_system="standard"), "vmdeck-mono", "vmdeck-mono"),
        (Terminal(colour_system="256"), "vmdeck-light", "vmdeck-light"),
        (Terminal(no_colour=True), "vmdeck-light", "vmdeck-mono"),
    ],
)
def test_the_first_theme_is_the_one_chosen_as_far_as_the_terminal_can_show_it(
    terminal: Terminal, chosen: str | None, theme: str
) -> None:
    assert themes.load().pick(chosen, terminal) == theme


def test_a_theme_that_is_gone_falls_back(own_config: Path) -> None:
    preferences.choose_theme("gone")
    assert console(typical()).theme == themes.DEFAULT


def test_preferences_that_are_no_toml_are_no_obstacle(own_config: Path) -> None:
    (own_config / "console.toml").write_bytes(b"\xff\xfe")
    assert preferences.chosen_theme() is None


async def test_a_theme_that_is_chosen_elsewhere_is_the_editors_too() -> None:
    async with driving(console(typical())) as driven:
        await driven.mode("5", "import platform")
        editor = driven.app.screen.query_one(CodeEditor)
        await driven.press("escape")
        await driven.mode("9", "max_running")
        await driven.press("T", *"light", "enter")
        await driven.until(lambda: driven.app.theme == "vmdeck-light" and not driven.app.screen.is_modal)
        await driven.press("5")
        await driven.until(lambda: driven.app.current_mode == "scratchpad")
        light = themes.syntax_styles(driven.app.theme_choice.file)["keyword"]
        assert editor._theme.syntax_styles["keyword"] == light
        assert driven.app.theme_choice.file.name == "vmdeck-light"
