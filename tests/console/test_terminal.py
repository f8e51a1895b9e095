"""What the terminal can't show is not sent to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from console.ascii import to_ascii
from console.terminal import COLOURS, Terminal
from engine.cli.doors import Color
from tests.console.driving import console, driving
from tests.console.fake_engine import typical

COLOUR = {"COLORTERM": "truecolor"}


@pytest.mark.parametrize(
    ("environ", "terminal"),
    [
        ({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, Terminal(colour_system="256")),
        ({"TERM": "xterm-256color"}, Terminal(colour_system="256")),
        ({"TERM": "linux"}, Terminal(ascii_only=True, colour_system="standard")),
        ({**COLOUR, "LANG": "C"}, Terminal(ascii_only=True, colour_system="truecolor")),
        ({**COLOUR, "LANG": "C", "LC_ALL": "C.UTF-8"}, Terminal(colour_system="truecolor")),
        ({**COLOUR, "LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, Terminal(ascii_only=True, colour_system="truecolor")),
        ({**COLOUR, "LANG": "C", "VMDECK_ASCII": "0"}, Terminal(colour_system="truecolor")),
        ({**COLOUR, "LANG": "C.UTF-8", "VMDECK_ASCII": "1"}, Terminal(ascii_only=True, colour_system="truecolor")),
        ({**COLOUR, "NO_COLOR": "1"}, Terminal(no_colour=True)),
        ({**COLOUR, "NO_COLOR": ""}, Terminal(colour_system="truecolor")),
        ({**COLOUR, "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, Terminal(remote=True, colour_system="truecolor")),
        ({"TERM": "xterm-kitty"}, Terminal(colour_system="truecolor")),
        ({"TERM": "foot", "COLORTERM": "truecolor"}, Terminal(colour_system="truecolor")),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, Terminal(colour_system="truecolor")),
        ({"TERM": "tmux-256color"}, Terminal(colour_system="256")),
        ({"TERM": "screen"}, Terminal(colour_system="standard")),
        ({"TERM": "xterm"}, Terminal(colour_system="standard")),
        ({"TERM": "rxvt-16color"}, Terminal(colour_system="standard")),
        ({"TERM": "dumb"}, Terminal(no_colour=True)),
        ({"TERM": "vt220"}, Terminal(no_colour=True, ascii_only=True)),
        ({**COLOUR, "COLORFGBG": "0;15"}, Terminal(colour_system="truecolor", light=True)),
        ({**COLOUR, "COLORFGBG": "0;default;7"}, Terminal(colour_system="truecolor", light=True)),
        ({**COLOUR, "COLORFGBG": "15;0"}, Terminal(colour_system="truecolor")),
    ],
)
def test_traits_follow_the_environment(environ: dict[str, str], terminal: Terminal) -> None:
    assert Terminal.of(environ) == terminal


@pytest.mark.parametrize(
    ("colours", "terminal"),
    [
        ("truecolor", Terminal(colour_system="truecolor")),
        ("256", Terminal(colour_system="256")),
        ("16", Terminal(colour_system="standard")),
        ("none", Terminal(no_colour=True)),
    ],
)
def test_what_is_asked_for_overrules_the_environment(colours: str, terminal: Terminal) -> None:
    assert Terminal.of({"NO_COLOR": "1", "TERM": "linux", "LANG": "C.UTF-8"}, colours=colours) == terminal


def test_the_command_offers_the_colours_that_the_console_knows() -> None:
    assert tuple(Color) == COLOURS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a─b│", "a-b|"),
        ("日", "??"),
        ("é", "e"),
        ("e\u0301", "e"),
        ("Łódź", "?odz"),
        ("½", "1"),
        ("●✗▸…", "*x>~"),
        ("█▁", "#_"),
    ],
)
def test_ascii_keeps_the_width(text: str, shown: str) -> None:
    assert to_ascii(text) == shown


async def test_a_terminal_without_colour_gets_no_colour_codes() -> None:
    app = console(typical(), terminal=Terminal(no_colour=True))
    async with driving(app) as driven:
        await driven.sees("7 ok")
        styles = [
            segment.style for strip in app.screen._compositor.render_strips() for segment in strip if segment.style
        ]
        assert styles
        assert all(style.color is None or style.color.is_default for style in styles)
        assert all(style.bgcolor is None or style.bgcolor.is_default for style in styles)


def test_the_entry_point_leaves_textual_alone_until_the_environment_is_ready() -> None:
    code = "import sys, console.launch; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_the_first_paint_does_not_wait_for_the_models_to_be_imported() -> None:
    code = "import sys, console.app, console.screens.overview; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
