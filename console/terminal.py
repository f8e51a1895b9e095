"""What the terminal at hand can show, judged from the environment alone.

Textual reads its own variables when it is imported, so this runs first and imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_TRUE_COLOUR_TERMS = ("alacritty", "foot", "ghostty", "kitty", "wezterm", "contour", "-direct")
_PLAIN_TERMS = ("linux", "vt100", "vt102", "vt220")


@dataclass(frozen=True, slots=True)
class Terminal:
    """Traits of one terminal.

    ``colour_system`` is a name that Textual knows, or None to let it judge from TERM and COLORTERM.
    """

    no_colour: bool = False
    ascii_only: bool = False
    remote: bool = False
    tmux: bool = False
    colour_system: str | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Terminal:
        """Reads NO_COLOR, VMDECK_ASCII, the locale, TERM, COLORTERM, SSH_CONNECTION and TMUX."""
        return cls(
            no_colour=bool(environ.get("NO_COLOR")),
            ascii_only=_ascii_only(environ),
            remote=bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY")),
            tmux=bool(environ.get("TMUX")),
            colour_system=_colour_system(environ),
        )

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


def _colour_system(environ: Mapping[str, str]) -> str | None:
    # SSH does not forward COLORTERM, so terminals known to have true colour are recognized by name.
    if environ.get("COLORTERM") or environ.get("TEXTUAL_COLOR_SYSTEM"):
        return None
    term = environ.get("TERM", "")
    return "truecolor" if any(name in term for name in _TRUE_COLOUR_TERMS) else None
