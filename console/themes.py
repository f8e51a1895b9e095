"""Colour themes as data: one TOML file each, ours in ``themes/``, a user's own in the config folder's ``themes/``.

A file names colours by their role. A file that can't be used is reported by name and leaves the others alone.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

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

T = TypeVar("T", "Colors", "ThemeFile")


@dataclass(frozen=True, slots=True)
class Colors:
    """Colours by role: ``#rrggbb``, or ``ansi_*`` names where the theme keeps to the terminal's own.

    ``surface`` is for fields and dialogs, ``panel`` for status line and action bar, ``muted`` for labels, units and
    hints, ``rule`` for lines between parts, ``primary`` for the active area, keys and titles, ``accent`` for what
    moves: running, selected.
    """

    background: str
    surface: str
    panel: str
    foreground: str
    muted: str
    rule: str
    primary: str
    accent: str
    success: str
    warning: str
    error: str
    cursor_background: str
    cursor_foreground: str


@dataclass(frozen=True, slots=True)
class ThemeFile:
    """What a theme file may hold. ``ansi`` leaves colours to the terminal; ``cursor_style`` is of the row under the
    cursor; ``syntax`` has a style for each capture name of highlighting."""

    name: str
    colors: Colors
    about: str = ""
    dark: bool = True
    ansi: bool = False
    cursor_style: str = "none"
    syntax: dict[str, str] = field(default_factory=dict)


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
        return _checked(ThemeFile, tomllib.loads(data.decode()), _FIELDS)
    except OSError as error:
        return BrokenTheme(path.name, error.strerror or str(error))
    except ValueError as error:  # not UTF-8, not TOML, not a theme
        return BrokenTheme(path.name, str(error))


# --- what a file may say. Checked by hand: a first paint must not wait for pydantic to be imported.


def _checked(kind: type[T], values: object, readers: Mapping[str, Callable[[object], object]]) -> T:
    """A dataclass of a TOML table. Raises ValueError that begins with the name of what is wrong."""
    read: dict[str, object] = {}
    for name, value in _table(values).items():
        if name not in readers:
            raise ValueError(f"{name}: there is no such field")
        try:
            read[name] = readers[name](value)
        except ValueError as error:
            joint = "." if isinstance(value, dict) and ": " in str(error) else ": "
            raise ValueError(f"{name}{joint}{error}") from error
    for each in fields(kind):
        if each.name not in read and each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{each.name}: it is missing")
    return kind(**read)


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError("it should be a table")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it should be true or false")
    return value


def _text(pattern: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"it should be a text like {pattern}")
        return value

    return read


def _colour(value: object) -> str:
    try:
        Color.parse(_words(value))
    except ColorParseError as error:
        raise ValueError(f"{value!r} is not a colour") from error
    return _words(value)


def _styles(value: object) -> dict[str, str]:
    styles = _table(value)
    for capture, style in styles.items():
        try:
            Style.parse(_words(style))
        except (StyleSyntaxError, ValueError) as error:
            raise ValueError(f"{capture}: {style!r} is not a style") from error
    return {capture: _words(style) for capture, style in styles.items()}


_words = _text(r".{0,80}")
_COLORS = {each.name: _colour for each in fields(Colors)}
_FIELDS: Mapping[str, Callable[[object], object]] = {
    "name": _text(r"[a-z0-9][a-z0-9-]{0,31}"),
    "about": _words,
    "dark": _flag,
    "ansi": _flag,
    "cursor_style": _text("none|bold|reverse|bold reverse"),
    "colors": lambda value: _checked(Colors, value, _COLORS),
    "syntax": _styles,
}


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
