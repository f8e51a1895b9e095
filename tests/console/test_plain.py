"""Nothing that a stranger wrote can steer the terminal, hide, reorder or smear what is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.plain import MAX_MARKS, plain, plain_lines, plain_signs
from tests.console.evil import EVIL

DANGEROUS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
def test_no_evil_text_leaves_a_dangerous_character(text: str) -> None:
    assert [char for char in plain(text) if unicodedata.category(char) in DANGEROUS] == []


@given(st.text(st.characters()))
def test_no_text_at_all_leaves_a_dangerous_character(text: str) -> None:
    shown = plain(text)
    assert all(unicodedata.category(char) not in DANGEROUS for char in shown)
    assert plain(shown) == shown


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x1b[2J", "␛[2J"),
        ("a\rb", "a␍b"),
        ("a\0b", "a␀b"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9c", "<U+009D>0;title<U+009C>"),
        ("abc\u202edef", "abc<U+202E>def"),
        ("a\u200bb", "a<U+200B>b"),
        ("a\tb", "a       b"),
        ("[/foo][red]", "[/foo][red]"),
        ("日本", "日本"),
        ("e\u0301", "e\u0301"),
        ("\x7f", "␡"),
        ("\ud800", "<U+D800>"),
    ],
)
def test_what_is_shown_says_what_was_there(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_marks_do_not_pile_up() -> None:
    assert plain("a" + "\u0301" * 500) == "a" + "\u0301" * MAX_MARKS


def test_lines_end_where_the_text_says() -> None:
    assert plain_lines("a\r\nb\nc\rd") == ["a", "b", "c␍d"]


def test_a_tab_is_worth_cells_not_a_jump() -> None:
    assert cell_len(plain("1\t2\t3")) == 17


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
def test_signs_for_fields_are_as_many_as_characters_and_harmless(text: str) -> None:
    shown = plain_signs(text)
    assert len(shown) == len(text)
    assert all(plain(line) == line for line in shown.split("\n"))
