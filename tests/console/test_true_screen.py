"""The terminal shows what the console believes to show, whatever came between: the parts that were sent one by one
give the same picture, colours included, as the whole sent anew.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.modes import MODES
from tests.terminal import TerminalProgram

ROOT = Path(__file__).parents[2]
REDRAW = "\x0c"  # ctrl+l
SILENT_S = 0.3
WHOLE_BYTES = 1000


def settle(program: TerminalProgram) -> None:
    """Wait until nothing more comes: dialogs are laid out."""
    program.rest(SILENT_S)


def picture(program: TerminalProgram) -> list[list[object]]:
    screen = program.screen
    return [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]


def assert_true(program: TerminalProgram) -> None:
    settle(program)
    seen, text = picture(program), program.text
    before = program.received
    program.type(REDRAW)
    program.until(lambda: program.received > before + WHOLE_BYTES, what="the whole is sent anew")
    settle(program)
    assert program.text == text
    assert picture(program) == seen


@pytest.fixture
def program(tmp_path: Path) -> Iterator[TerminalProgram]:
    environ = {
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "VMDECK_CONFIG_DIR": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "tests.console.still", str(tmp_path / "mark")]
    with TerminalProgram(command, environ=environ) as running:
        running.sees("egraded")
        yield running


def test_through_all_areas(program: TerminalProgram) -> None:
    for digit, mode in enumerate(MODES, 1):
        if program.text.count("import platform"):
            program.type("\x1b")  # leaves the editor, which takes digits as text
            settle(program)
        program.type(str(digit))
        program.sees(mode.title if len(MODES) < 5 else mode.short, 20)
        settle(program)
    assert_true(program)


def test_through_dialogs_and_notes(program: TerminalProgram) -> None:
    for key, sign in (("?", "Everywhere"), (":", "type to find"), ("T", "vmdeck-light")):
        program.type(key)
        program.sees(sign)
        program.type("\x1b")
        program.until(lambda sign=sign: sign not in program.text, what=f"{sign} has gone")
    program.type("m")
    program.sees("has the mouse")
    program.type("2?")
    program.sees("Keys")
    program.until(lambda: "has the mouse" not in program.text, what="the note has gone")
    program.type("\x1b")
    assert_true(program)


def test_through_sizes_and_themes(program: TerminalProgram) -> None:
    for size in ((200, 50), (61, 17), (40, 10), (120, 36), (80, 24)):
        program.resize(size)
        settle(program)
    program.type("T")
    program.sees("vmdeck-light")
    program.type("light\r")
    program.until(lambda: "vmdeck-dark" not in program.text, what="the picker has gone")
    assert_true(program)


@pytest.mark.parametrize("way", [signal.SIGTSTP, signal.SIGSTOP], ids=["asked", "forced"])
def test_through_a_stop(program: TerminalProgram, way: signal.Signals) -> None:
    settle(program)
    os.kill(program.pid, way)
    program.until(lambda: os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT), what="it stopped")
    program.screen.reset()  # the shell, and what else had the terminal meanwhile
    os.kill(program.pid, signal.SIGCONT)
    program.sees("egraded")
    assert_true(program)
