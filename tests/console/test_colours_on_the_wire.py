"""Which colours the console really sends, as bytes on a terminal of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console import preferences
from console.modes import MODES
from tests.console.test_terminal_process import TerminalProcess
from tests.console.walk import AREAS

_SGR = re.compile(rb"\x1b\[([0-9;:]*)m")
TYPED_INTO = "scratchpad"
DIGITS = [str(digit).encode() for digit, mode in enumerate(MODES, 1) if mode in AREAS and mode.name != TYPED_INTO]
DEFAULTS = {39, 49}
SIXTEEN = {*range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108)}


@contextmanager
def console_process(tmp_path: Path) -> Iterator[TerminalProcess]:
    process = TerminalProcess((120, 36), [str(tmp_path / "closed")])
    try:
        process.until(b"egraded")
        yield process
    finally:
        process.close()


def codes(tmp_path: Path) -> set[int]:
    """Colours that go out while a person walks the areas, opens the help and a picker: SGR codes but attributes.

    38 and 48 stand for any colour of the 256 or of all.
    """
    with console_process(tmp_path) as process:
        to_the_code = str(1 + [mode.name for mode in MODES].index(TYPED_INTO)).encode()
        for keys in (*DIGITS, b"?", b"q", b":", b"ima", b"\x1b", to_the_code, b"x = 1"):
            process.type(keys)
            process.read(0.4)
        return {code for found in _SGR.findall(process.seen) for code in _colours(found.decode())}


def _colours(parameters: str) -> Iterator[int]:
    numbers = iter(int(number or 0) for number in re.split("[;:]", parameters))
    for number in numbers:
        if number >= 30:
            yield number
        if number in (38, 48):
            for _ in range(1 if next(numbers) == 5 else 3):
                next(numbers)


def test_the_theme_of_sixteen_colours_sends_no_other(tmp_path: Path) -> None:
    preferences.choose_theme("vmdeck-16")
    sent = codes(tmp_path)
    assert sent & SIXTEEN
    assert sent <= SIXTEEN | DEFAULTS


def test_no_color_sends_no_colour_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert codes(tmp_path) <= DEFAULTS


def test_a_terminal_of_256_colours_gets_no_true_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLORTERM", raising=False)
    with console_process(tmp_path) as process:
        assert re.search(rb"[34]8;5;\d", process.seen)
        assert not re.search(rb"[34]8;2;\d", process.seen)
