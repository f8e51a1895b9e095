"""The handshake against a peer that follows a script, good or bad."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from engine.errors import InternalError
from engine.guestlink import hybrid_vsock
from engine.guestlink.hybrid_vsock import NotListeningError

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vmd-", dir="/tmp") as folder:
        yield Path(folder) / "v.sock"


@asynccontextmanager
async def peer(path: Path, script: Script) -> AsyncIterator[list[bytes]]:
    """A server that follows ``script`` after it has read the first line of each connection; gives those lines."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readline())
            await script(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield asked


def says(*pieces: bytes, pause_s: float = 0.0, then: Script | None = None) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if then is not None:
            await then(reader, writer)

    return script


async def until_closed(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_the_port_is_asked_for_and_what_follows_the_line_is_the_stream(path: Path) -> None:
    async with peer(path, says(b"OK 1073741824\nfirst words", then=until_closed)) as asked:
        stream = await hybrid_vsock.connect(path, 5000, 5)
        assert asked == [b"CONNECT 5000\n"]
        assert await stream.read() == b"first words"
        await stream.close()


async def test_the_stream_goes_both_ways(path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))

    async with peer(path, says(b"OK 1\n", then=echo)):
        stream = await hybrid_vsock.connect(path, 5000, 5)
        await stream.write(b"ping")
        assert await stream.read() == b"ping"
        await stream.close()


async def test_an_answer_in_pieces_is_put_together(path: Path) -> None:
    async with peer(path, says(b"O", b"K 10", b"24", b"\n", pause_s=0.01, then=until_closed)):
        stream = await hybrid_vsock.connect(path, 5000, 5)
        await stream.close()


async def test_a_slow_answer_does_not_outlast_the_deadline(path: Path) -> None:
    async with peer(path, says(*[b"9"] * 1000, pause_s=0.02)):
        with pytest.raises(NotListeningError, match=r"did not answer on vsock port 5000 within 0\.1 s"):
            await hybrid_vsock.connect(path, 5000, 0.1)


async def test_silence_ends_at_the_deadline(path: Path) -> None:
    async with peer(path, until_closed):
        with pytest.raises(NotListeningError, match=r"within 0\.1 s"):
            await hybrid_vsock.connect(path, 5000, 0.1)


async def test_a_closed_connection_is_a_port_where_nothing_listens(path: Path) -> None:
    async with peer(path, says()):
        with pytest.raises(NotListeningError, match="Nothing in the guest listens on vsock port 5000"):
            await hybrid_vsock.connect(path, 5000, 5)


@pytest.mark.parametrize(
    "answer",
    [
        b"NO 12\n",
        b"OK\n",
        b"OK \n",
        b"ok 12\n",
        b"OK 12 13\n",
        b"OK -1\n",
        b"\n",
        b" OK 12\n",
        b"OK 12",
        b"HTTP/1.1 400",
    ],
)
async def test_any_other_answer_is_an_error_and_says_what_it_was(path: Path, answer: bytes) -> None:
    async with peer(path, says(answer)):
        with pytest.raises(InternalError, match="in place of OK") as caught:
            await hybrid_vsock.connect(path, 5000, 5)
    assert not isinstance(caught.value, NotListeningError)
    assert repr(answer) in caught.value.message


async def test_an_endless_line_is_read_to_a_bound(path: Path) -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"OK " + b"1" * 4096)
            await writer.drain()

    async with peer(path, flood):
        with pytest.raises(InternalError, match="in place of OK") as caught:
            await hybrid_vsock.connect(path, 5000, 5)
    assert len(caught.value.message) < 200


async def test_a_vsock_with_too_many_callers_is_one_that_does_not_listen_yet(path: Path) -> None:
    with crowded(path) as (listening, waiting):
        with pytest.raises(NotListeningError, match=r"did not answer on vsock port 5000 within 0\.1 s"):
            await hybrid_vsock.connect(path, 5000, 0.1)
        calling = asyncio.create_task(hybrid_vsock.connect(path, 5000, 30))
        await asyncio.sleep(0)
        for each in waiting:
            each.close()
            listening.accept()[0].close()
        listening.setblocking(False)
        ours, _ = await asyncio.get_running_loop().sock_accept(listening)
        with ours:
            ours.sendall(b"OK 7\n")
            await (await calling).close()


@contextmanager
def crowded(path: Path) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """A socket whose backlog is full, and those that wait in it."""
    with ExitStack() as owned:
        listening = owned.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(path))
        listening.listen(0)
        waiting: list[socket.socket] = []
        while True:
            caller = owned.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            try:
                caller.connect(str(path))
            except BlockingIOError:
                break
            waiting.append(caller)
        yield listening, waiting


async def test_without_a_socket_the_reason_is_told(path: Path) -> None:
    with pytest.raises(InternalError, match="No such file"):
        await hybrid_vsock.connect(path, 5000, 5)


async def test_a_guest_that_listens_late_is_reached(path: Path) -> None:
    turned_away = 0

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turned_away
        if turned_away < 3:
            turned_away += 1
            return
        await says(b"OK 7\n", then=until_closed)(reader, writer)

    async with peer(path, late):
        stream = await hybrid_vsock.connect_once_listening(path, 5000, 5)
        await stream.close()
    assert turned_away == 3


@pytest.mark.parametrize("script", [says(), until_closed], ids=["closes", "is silent"])
async def test_a_guest_that_never_listens_ends_at_the_deadline(path: Path, script: Script) -> None:
    async with peer(path, script):
        async with asyncio.timeout(5):
            with pytest.raises(NotListeningError, match=r"agent was not reached within 0\.2 s"):
                await hybrid_vsock.connect_once_listening(path, 5000, 0.2)


async def test_no_failure_leaves_a_descriptor_open(path: Path) -> None:
    async with peer(path, until_closed):
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as many as there are, whatever they are
        for _ in range(3):
            with pytest.raises(NotListeningError):
                await hybrid_vsock.connect(path, 5000, 0.05)
        await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.wait(tasks, timeout=5)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def ends_connections(count: int, then: Script) -> Script:
    """Accepts ``count`` connections and ends them without a word, as a machine does that was just restored."""
    left = count

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        writer.write(b"OK 1\n")
        await writer.drain()
        left -= 1
        if left < 0:
            await then(reader, writer)

    return script


async def test_connections_that_end_without_a_word_are_made_again_until_one_is_greeted(path: Path) -> None:
    async with peer(path, ends_connections(3, says(b"hello", b" there", then=until_closed))) as asked:
        stream = await hybrid_vsock.connect_once_greeted(path, 5000, 5)
        assert len(asked) == 4
        words = b""
        while len(words) < len(b"hello there"):
            words += await stream.read()
        assert words == b"hello there"
        await stream.close()


async def test_a_guest_that_never_says_a_word_ends_at_the_deadline(path: Path) -> None:
    async with peer(path, ends_connections(10**9, until_closed)):
        with pytest.raises(NotListeningError, match="ended its connections without a word"):
            await hybrid_vsock.connect_once_greeted(path, 5000, 0.3)


async def test_a_guest_that_accepts_and_says_nothing_ends_at_the_deadline(path: Path) -> None:
    async with peer(path, says(b"OK 1\n", then=until_closed)):
        with pytest.raises(NotListeningError, match="accepted a connection and said nothing"):
            await hybrid_vsock.connect_once_greeted(path, 5000, 0.3)
