"""Numbers keep their width and their unit while they change, and ages are read at a glance."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.quantities import age, count, duration_ms, mebibytes, percent, short_age, size


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (-1, "0 s", "0 s"),
        (59.9, "59 s", "59 s"),
        (185, "3 m 05 s", "3 m"),
        (3599, "59 m 59 s", "59 m"),
        (15000, "4 h 10 m", "4 h"),
        (9 * 86400 + 7200, "9 d 02 h", "9 d"),
    ],
)
def test_ages_have_one_format_and_a_short_form_of_it(seconds: float, long: str, short: str) -> None:
    assert (age(seconds), short_age(seconds)) == (long, short)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0.0 ms"),
        (0.44, "0.4 ms"),
        (0.96, "1 ms"),
        (38.2, "38 ms"),
        (999.6, "1.00 s"),
        (1612, "1.61 s"),
        (59_999, "1 m 00 s"),
        (125_000, "2 m 05 s"),
    ],
)
def test_durations_take_the_next_unit_before_they_grow_a_digit(milliseconds: float, text: str) -> None:
    assert duration_ms(milliseconds) == text


@pytest.mark.parametrize(
    ("count_", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (10_230, "10 KiB"),
        (1_048_064, "1.0 MiB"),
        (45_088_768, "43 MiB"),
        (2 << 30, "2.0 GiB"),
    ],
)
def test_sizes(count_: int | None, text: str) -> None:
    assert size(count_) == text


@given(st.integers(0, 10**17))
def test_a_size_never_has_more_than_three_digits(count_: int) -> None:
    assert re.fullmatch(r"(\d{1,3}|\d\.\d) ([KMGTP]i)?B", size(count_))


@given(st.floats(0, 3600 * 24 * 1000 * 90))
def test_a_duration_has_at_most_nine_cells(milliseconds: float) -> None:
    assert len(duration_ms(milliseconds)) <= 9


@given(st.floats(0, 86400 * 999))
def test_a_short_age_fits_its_column(seconds: float) -> None:
    assert re.fullmatch(r"\d{1,3} [smhd]", short_age(seconds))


def test_what_is_not_known_is_said_the_same_way_everywhere() -> None:
    assert {size(None), mebibytes(None), percent(None)} == {"-"}


def test_plurals() -> None:
    assert (count(1, "VM"), count(0, "VM"), count(2, "entry", "entries")) == ("1 VM", "0 VMs", "2 entries")
