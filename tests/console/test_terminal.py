"""What the terminal can't show is not sent to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from console.ascii import to_ascii
from console.terminal import Terminal
from tests.console.driving import console, driving
from tests.console.fake_engine import typical


@pytest.mark.parametrize(
    ("environ", "terminal"),
    [
        ({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, Terminal()),
        ({"TERM": "xterm-256color"}, Terminal()),
        ({"TERM": "linux"}, Terminal(ascii_only=True)),
        ({"LANG": "C"}, Terminal(ascii_only=True)),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, Terminal()),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, Terminal(ascii_only=True)),
        ({"LANG": "C", "VMDECK_ASCII": "0"}, Terminal()),
        ({"LANG": "C.UTF-8", "VMDECK_ASCII": "1"}, Terminal(ascii_only=True)),
        ({"NO_COLOR": "1"}, Terminal(no_colour=True)),
        ({"NO_COLOR": ""}, Terminal()),
        ({"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, Terminal(remote=True)),
        ({"TERM": "xterm-kitty"}, Terminal(colour_system="truecolor")),
        ({"TERM": "foot", "COLORTERM": "truecolor"}, Terminal()),
    ],
)
def test_traits_follow_the_environment(environ: dict[str, str], terminal: Terminal) -> None:
    assert Terminal.of(environ) == terminal


@pytest.mark.parametrize(
    ("text", "shown"), [("a─b│", "a-b|"), ("日", "??"), ("é", "?"), ("●✗▸…", "*x>~"), ("█▁", "#_")]
)
def test_ascii_keeps_the_width(text: str, shown: str) -> None:
    assert to_ascii(text) == shown


@pytest.mark.parametrize("digit", list("123456"))
async def test_an_ascii_terminal_gets_ascii_only(digit: str) -> None:
    app = console(typical(), terminal=Terminal(ascii_only=True))
    async with driving(app) as driven:
        await driven.sees("! degraded")
        await driven.press(digit, "escape", "T")
        await driven.sees("Theme")
        assert driven.text.isascii()


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
