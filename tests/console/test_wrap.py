"""Lines are broken between words, and code keeps its shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.wrap import broken, wrapped


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("    print(1)", ["print(1)"]),
        ("  a b", ["  a b"]),
        ("abcdefghijk", ["abcdefgh", "ijk"]),
    ],
)
def test_wrapped(text: str, lines: list[str]) -> None:
    assert wrapped(text, 8) == lines


@given(st.text(alphabet="ab 日", max_size=200), st.integers(4, 40))
def test_a_broken_text_is_whole_again_and_no_piece_is_too_wide(text: str, cells: int) -> None:
    pieces = broken(text, cells)
    assert "".join(pieces) == text
    assert all(cell_len(piece) <= cells for piece in pieces)


def test_a_log_is_broken_between_its_words() -> None:
    assert broken("installing essential packages now", 14) == ["installing ", "essential ", "packages now"]
