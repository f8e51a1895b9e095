"""What the terminal at hand can show, judged from the environment alone.

Textual reads its own variables when it is imported, so this runs first and imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COLOURS = ("auto", "truecolor", "256", "16", "none")
"""What may be asked for; all but auto overrule the environment."""

_PLAIN_TERMS = ("linux", "vt100", "vt102", "vt220")
_COLOURS_OF_TERMS = (
    (("dumb", "vt100", "vt102", "vt220"), "none"),
    # SSH does not forward COLORTERM, so terminals known to have true colour are recognized by name.
    (("alacritty", "foot", "ghostty", "kitty", "wezterm", "contour", "-direct"), "truecolor"),
    (("256color",), "256"),
    (("",), "16"),
)
"""Parts of TERM, and the colours of terminals so named; the first that fits counts."""

_TEXTUALS = {"truecolor": "truecolor", "256": "256", "16": "standard"}
_LIGHT_GROUNDS = ("7", "15")


@dataclass(frozen=True, slots=True)
class Terminal:
    """Traits of one terminal.

    ``colour_system`` is a name that Textual knows: truecolor, 256 or standard, which is the terminal's own 16; None
    leaves it to Textual. ``light`` says that its ground is known to be bright.
    """

    no_colour: bool = False
    ascii_only: bool = False
    remote: bool = False
    tmux: bool = False
    colour_system: str | None = None
    light: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str], *, colours: str = "auto", ascii_only: bool = False) -> Terminal:
        """Reads NO_COLOR, VMDECK_ASCII, the locale, TERM, COLORTERM, COLORFGBG, SSH_CONNECTION and TMUX.

        ``colours`` is one of COLOURS.
        """
        found = _colours(environ) if colours == "auto" else colours
        return cls(
            no_colour=found == "none",
            ascii_only=ascii_only or _ascii_only(environ),
            remote=bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY")),
            tmux=bool(environ.get("TMUX")),
            colour_system=_TEXTUALS.get(found),
            light=environ.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT_GROUNDS,
        )

    @property
    def sixteen(self) -> bool:
        """Whether it has no colours but its own 16, for which those of most themes would be bent."""
        return self.colour_system == "standard"

    def textual_environment(self) -> dict[str, str]:
        """Variables for Textual: no animation, no smooth scrolling, few frames; each costs bytes on a slow line."""
        variables = {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0", "TEXTUAL_FPS": "30"}
        if self.colour_system:
            variables["TEXTUAL_COLOR_SYSTEM"] = self.colour_system
        return variables


def _ascii_only(environ: Mapping[str, str]) -> bool:
    if chosen := environ.get("VMDECK_ASCII"):
        return chosen != "0"
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG")
    if locale is None:  # as in a bare container: terminals speak UTF-8 unless they say they are old
        return environ.get("TERM", "") in _PLAIN_TERMS
    return "utf" not in locale.lower()


def _colours(environ: Mapping[str, str]) -> str:
    if environ.get("NO_COLOR"):
        return "none"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    term = environ.get("TERM", "")
    return next(colours for parts, colours in _COLOURS_OF_TERMS if any(part in term for part in parts))
