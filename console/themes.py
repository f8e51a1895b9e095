"""Colour themes as data: one TOML file each, ours in ``themes/``, a user's own in the config folder's ``themes/``.

A file names colours by their role. A file that can't be used is reported by name and leaves the others alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from rich.errors import StyleSyntaxError
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

from console.terminal import Terminal
from engine.folders import config_dir

DEFAULT = "vmdeck-dark"
LIGHT = "vmdeck-light"
WITHOUT_COLOUR = "vmdeck-mono"
SIXTEEN_COLOURS = "vmdeck-16"
_OURS = Path(__file__).parents[1] / "themes"
MAX_FILE_BYTES = 64 * 1024


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Colors(_Strict):
    """Colours by role: ``#rrggbb``, or ``ansi_*`` names where the theme keeps to the terminal's own."""

    background: str
    surface: str = Field(description="fields and dialogs")
    panel: str = Field(description="status line and action bar")
    foreground: str
    muted: str = Field(description="labels, units, hints")
    rule: str = Field(description="lines between parts")
    primary: str = Field(description="the active area, keys, titles")
    accent: str = Field(description="what moves: running, selected")
    success: str
    warning: str
    error: str
    cursor_background: str
    cursor_foreground: str

    @field_validator("*")
    @classmethod
    def _a_colour(cls, value: str) -> str:
        try:
            Color.parse(value)
        except ColorParseError as error:
            raise ValueError(f"{value!r} is not a colour") from error
        return value


class ThemeFile(_Strict):
    """What a theme file may hold."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    about: str = Field("", max_length=80)
    dark: bool = True
    ansi: bool = Field(False, description="leave colours to the terminal")
    cursor_style: str = Field(
        "none", pattern=r"^(none|bold|reverse|bold reverse)$", description="of the row under the cursor"
    )
    colors: Colors
    syntax: dict[str, str] = Field(default_factory=dict, description="highlighting: capture name to style")

    @field_validator("syntax")
    @classmethod
    def _styles(cls, value: dict[str, str]) -> dict[str, str]:
        for capture, style in value.items():
            try:
                Style.parse(style)
            except StyleSyntaxError as error:
                raise ValueError(f"{capture}: {style!r} is not a style") from error
        return value


@dataclass(frozen=True, slots=True)
class BrokenTheme:
    """A theme file that can't be used, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Themes:
    """All themes found: ``files`` by name."""

    files: dict[str, ThemeFile]
    broken: tuple[BrokenTheme, ...]

    def pick(self, chosen: str | None, terminal: Terminal) -> str:
        """The theme that the operator chose, as far as it is there and the terminal can show it, else what fits it."""
        if terminal.no_colour:
            return WITHOUT_COLOUR
        if chosen in self.files and (self.files[chosen].ansi or not terminal.sixteen):
            return chosen
        if terminal.sixteen:
            return SIXTEEN_COLOURS
        return LIGHT if terminal.light else DEFAULT


def load() -> Themes:
    """Read all theme files; never raises for a bad one."""
    files: dict[str, ThemeFile] = {}
    owners: dict[str, str] = {}
    broken: list[BrokenTheme] = []
    for path in _theme_paths():
        theme = _read(path)
        if isinstance(theme, ThemeFile) and theme.name in files:
            theme = BrokenTheme(path.name, f"the name {theme.name} is taken by {owners[theme.name]}")
        if isinstance(theme, BrokenTheme):
            broken.append(theme)
        else:
            files[theme.name] = theme
            owners[theme.name] = path.name
    return Themes(files, tuple(broken))


def _theme_paths() -> Iterator[Path]:
    for folder in (_OURS, config_dir() / "themes"):
        yield from sorted(folder.glob("*.toml"))


def _read(path: Path) -> ThemeFile | BrokenTheme:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            return BrokenTheme(path.name, f"over {MAX_FILE_BYTES} bytes")
        return ThemeFile.model_validate(tomllib.loads(data.decode()))
    except OSError as error:
        return BrokenTheme(path.name, error.strerror or str(error))
    except ValidationError as error:
        first = error.errors()[0]
        return BrokenTheme(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except ValueError as error:  # not UTF-8, not TOML
        return BrokenTheme(path.name, str(error))


def textual_theme(file: ThemeFile) -> Theme:
    """The theme as Textual wants it; roles of ours that Textual does not know become variables."""
    colors = file.colors
    return Theme(
        name=file.name,
        dark=file.dark,
        ansi=file.ansi,
        primary=colors.primary,
        secondary=colors.primary,
        accent=colors.accent,
        success=colors.success,
        warning=colors.warning,
        error=colors.error,
        foreground=colors.foreground,
        background=colors.background,
        surface=colors.surface,
        panel=colors.panel,
        boost=colors.surface,
        variables=_variables(file),
    )


def _variables(file: ThemeFile) -> dict[str, str]:
    colors = file.colors
    return {
        # Textual's own rules for :ansi ask for these two.
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "muted": colors.muted,
        "rule": colors.rule,
        "row-background": colors.cursor_background,
        "row-foreground": colors.cursor_foreground,
        "row-style": file.cursor_style,
        "border": colors.primary,
        "border-blurred": colors.rule,
        "scrollbar": colors.rule,
        "scrollbar-hover": colors.muted,
        "scrollbar-active": colors.primary,
        "scrollbar-background": colors.background,
        "scrollbar-background-hover": colors.background,
        "scrollbar-background-active": colors.background,
        "scrollbar-corner-color": colors.background,
        "input-cursor-background": colors.foreground,
        "input-cursor-foreground": colors.background,
        "input-cursor-text-style": "reverse" if file.ansi else "none",
    }


def syntax_styles(file: ThemeFile) -> dict[str, Any]:
    """Rich styles by capture name, for the editor."""
    return {capture: Style.parse(style) for capture, style in file.syntax.items()}
