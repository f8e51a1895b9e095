"""The console over SSH from another continent: 200 ms are added to each key's way there and each paint's way back."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from tests.benchmarks.console.sessions import busy_engine, console
from tests.terminal import Link, TerminalProgram

DELAY_S = 0.2
ROUND_TRIP_S = 2 * DELAY_S
AFAR = Link(delay_s=DELAY_S)
SLACK_S = 0.4  # for a loaded machine; a quiet one takes 0.02


@pytest.fixture
def afar() -> Iterator[TerminalProgram]:
    with busy_engine(50) as (socket, _), console(socket, link=AFAR) as program:
        program.sees("Overview")
        program.type("2")
        program.sees("vm-0a31")
        yield program


def test_a_key_costs_one_round_trip(afar: TerminalProgram) -> None:
    times: list[float] = []
    for key, row in itertools.islice(itertools.cycle((("j", 4), ("k", 3))), 6):
        afar.type(key)
        times.append(afar.until(lambda row=row: afar.screen.display[row].startswith("▸"), what="the cursor moved"))
    assert sorted(times)[len(times) // 2] < ROUND_TRIP_S + SLACK_S


def test_keys_typed_ahead_all_arrive_in_order(afar: TerminalProgram) -> None:
    began = time.monotonic()
    afar.type("j" * 5 + "k" * 2)
    afar.until(lambda: afar.screen.display[6].startswith("▸"), what="the cursor three rows down")
    assert time.monotonic() - began < ROUND_TRIP_S + 2 * SLACK_S


def test_the_line_is_not_flooded(afar: TerminalProgram) -> None:
    afar.watch(2)
    seconds = 6
    received = sum(len(piece.data) for piece in afar.watch(seconds))
    assert 0 < received < seconds * 2048
