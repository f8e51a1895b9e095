"""Lines are broken between words, and code keeps its shape."""

from __future__ import annotations

import pytest

from console.wrap import wrapped


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
