"""A console followed live: each viewer gets it in order, is told what it missed, and is let go at the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from engine.models import SerialText
from engine.vmm import serial_console
from engine.vmm.tail import Tail

KEPT, READ_MAX = 100, 100_000


class Guest:
    """Writes to a console that is read as a VM's is."""

    def __init__(self, kept: int = KEPT, read_max: int = READ_MAX) -> None:
        ours, self._theirs = socket.socketpair()
        ours.setblocking(False)
        self.console = Tail(kept, read_max)
        self.reading = asyncio.create_task(self.console.follow_socket(ours))

    async def says(self, data: bytes) -> None:
        """Return once it was read."""
        wanted = self.console.total + len(data)
        self._theirs.sendall(data)
        while self.console.total < wanted:
            await self.console.grown(self.console.total)

    async def ends(self) -> None:
        self._theirs.close()
        await asyncio.wait((self.reading,))


@pytest.fixture
async def guest() -> AsyncIterator[Guest]:
    guest = Guest()
    yield guest
    await guest.ends()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_console, "_PACE_S", 0)


async def whole(console: Tail, after: int = 0) -> list[SerialText]:
    return [piece async for piece in serial_console.follow(console, after)]


async def test_a_late_viewer_gets_what_was_said_and_then_what_comes(guest: Guest) -> None:
    await guest.says(b"first\n")
    async with aclosing(serial_console.follow(guest.console, 0)) as pieces:
        assert await anext(pieces) == SerialText(offset=6, text="first\n")
        await guest.says(b"second\n")
        assert await anext(pieces) == SerialText(offset=13, text="second\n")


async def test_what_came_last_is_there_before_the_end(guest: Guest) -> None:
    following = asyncio.create_task(whole(guest.console))
    await guest.says(b"last words")
    await guest.ends()
    *_, last, end = await following
    assert last.text == "last words"
    assert (end.text, end.offset, end.ended) == ("", 10, "the VM has ended")


async def test_a_viewer_that_comes_again_goes_on_where_it_was(guest: Guest) -> None:
    await guest.says(b"one two")
    await guest.ends()
    assert [piece.text for piece in await whole(guest.console, after=4)] == ["two", ""]


@pytest.mark.parametrize("after", [7, 10_000])
async def test_one_that_has_seen_all_is_told_of_the_end_alone(guest: Guest, after: int) -> None:
    await guest.says(b"one two")
    await guest.ends()
    assert [(piece.offset, piece.text) for piece in await whole(guest.console, after=after)] == [(7, "")]


async def test_bytes_that_are_no_longer_kept_are_counted(guest: Guest) -> None:
    await guest.says(b"x" * 250)
    await guest.ends()
    piece, _ = await whole(guest.console)
    assert (piece.lost, len(piece.text), piece.offset) == (150, KEPT, 250)


async def test_a_slow_viewer_is_told_what_it_missed_since_its_last_piece(guest: Guest) -> None:
    async with aclosing(serial_console.follow(guest.console, 0)) as pieces:
        await guest.says(b"a" * 50)
        assert (await anext(pieces)).lost == 0
        await guest.says(b"b" * 130)
        piece = await anext(pieces)
    assert (piece.lost, piece.text) == (30, "b" * KEPT)


async def test_a_character_in_two_pieces_is_one(guest: Guest) -> None:
    euro = "€".encode()
    async with aclosing(serial_console.follow(guest.console, 0)) as pieces:
        await guest.says(b"a" + euro[:2])
        first = await anext(pieces)
        await guest.says(euro[2:] + b"b")
        second = await anext(pieces)
    assert (first.text, first.offset, second.text) == ("a", 1, "€b")


async def test_offsets_never_point_into_a_character(guest: Guest) -> None:
    """A viewer that asks again after one must not find half a character."""
    euro = "€".encode()
    await guest.says(b"a" + euro[:2])
    async with aclosing(serial_console.follow(guest.console, 0)) as pieces:
        seen = await anext(pieces)
    await guest.says(euro[2:])
    await guest.ends()
    assert (await whole(guest.console, after=seen.offset))[0].text == "€"


async def test_half_a_character_at_the_end_is_shown_as_damaged(guest: Guest) -> None:
    await guest.says(b"a" + "€".encode()[:2])
    await guest.ends()
    assert "".join(piece.text for piece in await whole(guest.console)) == "a\ufffd"


async def test_half_a_character_before_a_gap_is_shown_as_damaged(guest: Guest) -> None:
    async with aclosing(serial_console.follow(guest.console, 0)) as pieces:
        await guest.says(b"a" + "€".encode()[:2])
        await anext(pieces)
        await guest.says(b"b" * 150)
        assert (await anext(pieces)).text == "\ufffd" + "b" * KEPT


async def test_bytes_that_are_no_text_are_replaced(guest: Guest) -> None:
    await guest.says(b"\xff\xfeok")
    await guest.ends()
    assert (await whole(guest.console))[0].text == "\ufffd\ufffdok"


async def test_a_viewer_of_a_flood_is_told_that_reading_has_stopped() -> None:
    guest = Guest(read_max=500)
    following = asyncio.create_task(whole(guest.console))
    await guest.says(b"y" * 500)
    pieces = await following
    assert "read up to 500 bytes" in pieces[-1].ended
    assert sum(piece.lost + len(piece.text) for piece in pieces) == 500
    await guest.ends()


async def test_many_viewers_get_the_same_and_none_waits_for_another(guest: Guest) -> None:
    viewers = [asyncio.create_task(whole(guest.console)) for _ in range(20)]
    stuck = serial_console.follow(guest.console, 0)
    await guest.says(b"hello")
    assert (await anext(stuck)).text == "hello"
    await guest.ends()
    texts = {"".join(piece.text for piece in pieces) for pieces in await asyncio.gather(*viewers)}
    assert texts == {"hello"}
    await stuck.aclose()


async def test_a_viewer_that_leaves_while_it_waits_disturbs_nobody(guest: Guest) -> None:
    leaving, staying = (asyncio.create_task(whole(guest.console)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait((leaving,))
    await guest.says(b"still here")
    await guest.ends()
    assert (await staying)[0].text == "still here"


async def test_viewers_are_let_go_where_reading_is_given_up(guest: Guest) -> None:
    following = asyncio.create_task(whole(guest.console))
    await asyncio.sleep(0)
    guest.reading.cancel()
    async with asyncio.timeout(10):
        assert (await following)[-1].ended
