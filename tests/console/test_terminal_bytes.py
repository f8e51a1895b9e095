"""What the console really writes to a terminal, and how it reads one: nothing of a stranger's acts, no key is lost."""

from __future__ import annotations

import base64
import os
import re
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.console.sessions import environ
from tests.terminal import TerminalProgram

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0
SEQUENCE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|[\]PX^_][^\x1b\x07]*(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC
    rb"|[ -/]*[0-~])"
)
PAINTING = re.compile(rb"\x1b\[[0-9;]*[mH]")  # colours, and where to write
COPIES = re.compile(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")
OWN = {
    *(b"\x1b[?%d%c" % (mode, to) for mode in (1000, 1003, 1006, 1015, 1004, 1049, 2004, 7, 25) for to in b"hl"),
    b"\x1b[>25u",  # keys told apart, and back
    b"\x1b[<u",
    b"\x1b[?2026$p",  # may it paint at once, does it tell its size
    b"\x1b[?2048$p",
    b"\x1b]22;default\x07",  # the mouse pointer's form
}
"""What Textual says at start and end, with mouse, focus and paste."""


class Session:
    """The console with evil texts on a terminal, and all that it sent."""

    def __init__(self, program: TerminalProgram) -> None:
        self.program = program
        self.sent = b""

    def settle(self) -> None:
        """Until it has said all it has to say: it is silent while nothing changes."""
        self.sent += b"".join(piece.data for piece in self.program.rest())

    def sees(self, pattern: str) -> None:
        """Wait until the screen has a line with this."""
        end = time.monotonic() + DEADLINE_S
        while not re.search(pattern, self.text, re.MULTILINE):
            assert time.monotonic() < end, f"never seen: {pattern}\n{self.text}"
            self.settle()

    def type(self, keys: str) -> None:
        """All in one write."""
        self.program.type(keys)
        self.settle()

    @property
    def text(self) -> str:
        return self.program.text

    @property
    def foreign(self) -> list[bytes]:
        """Sequences that are not the console's own."""
        found = {match.group() for match in SEQUENCE.finditer(self.sent)}
        return sorted(each for each in found - OWN if not (PAINTING.fullmatch(each) or COPIES.fullmatch(each)))

    @property
    def stray(self) -> list[str]:
        """Characters outside of sequences that steer a terminal."""
        text = SEQUENCE.sub(b"", self.sent).decode()
        return sorted({char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")})

    @property
    def copied(self) -> list[str]:
        return [base64.b64decode(payload).decode() for payload in COPIES.findall(self.sent)]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.chdir(ROOT)
    variables = [f"{name}={value}" for name, value in environ(tmp_path).items()]
    command = ["env", "-i", *variables, sys.executable, "-m", "tests.console.evil_console"]
    with TerminalProgram(command, size=(120, 36)) as program:
        program.sees("Overview")
        running = Session(program)
        running.settle()
        yield running


def assert_harmless(session: Session) -> None:
    assert session.foreign == []
    assert session.stray == []


def test_no_area_and_no_detail_lets_a_strangers_text_act(session: Session) -> None:
    for digit in "12346789":
        session.type(digit)
        session.type("\r")
        session.type("\x1b")
        session.type("\x1b")
        assert_harmless(session)
    session.type("1")
    session.sees(re.escape("[/foo][red]x[@click"))  # as text, not as a style
    assert session.copied == []


def test_neither_catalogue_nor_vm_nor_wizard_nor_palette_lets_it_act(session: Session) -> None:
    for keys in ("3", "c", "\r", "\x1b", "\x1b", "2", "\r", *"]]]]]]", "\x1b", "9", "e", "\x1b", "4", "v", "\x1b", "?"):
        session.type(keys)
    session.type("\x1b")
    for keys in ("8", "\r", "\r", "\r", "\x1b", "8", "U", "\x1b", "T", "\x1b", "R", "6", "/[red]", "\x1b"):
        session.type(keys)
    assert_harmless(session)
    assert session.copied == []


def test_output_of_a_run_its_history_and_its_copies_do_not_act(session: Session) -> None:
    for keys in ("5", "\x1b", "\x12"):
        session.type(keys)
    session.sees("0;torn")
    for keys in ("h", "\x1b", "o", "\x1b", "b", "\x1b", "f", "\x1b"):
        session.type(keys)
    session.type("youtput\r")
    assert_harmless(session)
    assert len(session.copied) == 1
    assert [char for char in session.copied[0] if unicodedata.category(char) == "Cc" and char not in "\n\t"] == []


def test_leaving_gives_the_terminal_back_and_sets_no_title(session: Session) -> None:
    session.program.type("q")
    assert session.program.exit_code(10) == 0
    session.settle()
    assert_harmless(session)


def test_a_filter_and_its_text_in_one_write_is_a_filter(session: Session) -> None:
    """What `/py` did before: the filter opened, and `p` and `y` were commands; y copied."""
    session.type("2/py")
    session.sees("^ py ")
    assert session.copied == []
    session.type("\x1b")
    session.type("1:images py\r/xyz")
    session.sees("^ (py)?xyz ")


def test_bytes_that_are_no_text_are_no_end(session: Session) -> None:
    """As a terminal of another encoding sends."""
    session.type("2")
    session.program.type(b"/\xe9\xff")
    session.settle()
    session.type("py")
    session.sees("py ")
    os.kill(session.program.pid, 0)
