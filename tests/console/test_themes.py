"""Themes are data: ours are complete, a user's own appear, a broken one is named and harms nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from console import preferences, themes
from console.widgets.code_editor import CodeEditor
from tests.console.driving import console, driving
from tests.console.fake_engine import typical

OURS = ("vmdeck-dark", "vmdeck-light", "high-contrast", "vmdeck-mono", "vmdeck-16")
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


def contrast(one: str, other: str) -> float:
    from textual.color import Color

    def luminance(text: str) -> float:
        parts = [part / 255 for part in Color.parse(text).rgb]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", [name for name in OURS if not themes.load().files[name].ansi])
def test_every_text_colour_is_readable_on_every_ground(name: str) -> None:
    colors = themes.load().files[name].colors
    for ground in (colors.background, colors.surface, colors.panel):
        for text in ("foreground", "muted", "primary", "accent", "success", "warning", "error"):
            assert contrast(getattr(colors, text), ground) >= 4.5, (text, ground)
    assert contrast(colors.cursor_foreground, colors.cursor_background) >= 4.5


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
        expected = themes.syntax_styles(driven.app.theme_file)["keyword"]
        assert editor._theme.syntax_styles["keyword"] == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not toml at all [", "mine.toml"),
        (FILE.replace('error = "#ff0000"', ""), "colors.error"),
        (FILE.replace("#ff0000", "reddish"), "colors.error"),
        (FILE + '\n[extra]\na = "b"', "extra"),
        (FILE + '\n[syntax]\nkeyword = "no style at all"', "syntax"),
        ("#" * (themes.MAX_FILE_BYTES + 1), "over"),
    ],
)
async def test_a_broken_theme_is_named_and_harms_nothing(own_config: Path, text: str, reason: str) -> None:
    user_theme(own_config, "mine.toml", text)
    async with driving(console(typical()), (200, 50)) as driven:
        await driven.sees("Theme file mine.toml is not used")
        assert reason in driven.app.themes.broken[0].reason + driven.app.themes.broken[0].file
        await driven.sees("degraded")


def test_a_theme_that_is_gone_falls_back(own_config: Path) -> None:
    preferences.choose_theme("gone")
    assert console(typical()).theme == themes.DEFAULT


def test_preferences_that_are_no_toml_are_no_obstacle(own_config: Path) -> None:
    (own_config / "console.toml").write_bytes(b"\xff\xfe")
    assert preferences.chosen_theme() is None
