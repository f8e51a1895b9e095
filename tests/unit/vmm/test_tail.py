"""The last words of something that may never stop talking."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from engine.vmm.tail import Tail


async def test_a_flood_is_read_to_a_bound_and_then_hung_up_on() -> None:
    """A guest's kernel can write to its console without end; the host must neither keep nor read it all."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    tail = Tail(kept=1000, read_max=100_000)
    following = asyncio.create_task(tail.follow_socket(ours))
    loop = asyncio.get_running_loop()
    sent = 0
    with theirs:
        try:
            async with asyncio.timeout(10):
                while True:
                    await loop.sock_sendall(theirs, b"x" * 10_000)
                    sent += 10_000
        except (BrokenPipeError, ConnectionResetError):
            pass
    await following
    assert len(tail.text()) == 1000
    assert sent < 1_000_000


async def test_a_flood_through_a_pipe_is_read_to_a_bound() -> None:
    ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    tail = Tail(kept=1000, read_max=100_000)
    following = asyncio.create_task(tail.follow_pipe(ours))
    sent = 0
    try:
        async with asyncio.timeout(10):
            while not following.done():
                with contextlib.suppress(BlockingIOError):
                    sent += os.write(theirs, b"x" * 10_000)
                await asyncio.sleep(0)
        tail.drain(ours)
        assert len(tail.text()) == 1000
        assert sent < 1_000_000
        assert os.read(ours, 1), "all that was sent was read"
    finally:
        os.close(ours)
        os.close(theirs)


async def test_the_last_bytes_are_kept_whatever_they_are() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    tail = Tail(kept=10, read_max=1000)
    following = asyncio.create_task(tail.follow_socket(ours))
    with theirs:
        theirs.sendall(b"0123456789\xff\xfelast words")
    await following
    assert tail.text() == "last words"


async def test_one_that_is_never_started_is_empty() -> None:
    assert Tail(kept=10, read_max=10).text() == ""
