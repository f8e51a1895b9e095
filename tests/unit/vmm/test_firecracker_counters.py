"""Firecracker's metrics come as differences, line by line; what is shown is their sum, and no line is trusted."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator

import pytest

from engine.vmm.firecracker_counters import FirecrackerCounters

READ_MAX = 100_000


def line(**groups: object) -> bytes:
    return json.dumps(groups).encode() + b"\n"


class Pipe:
    """Firecracker's end, and the counters that hear it."""

    def __init__(self) -> None:
        self._ours, self._theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.counters = FirecrackerCounters(READ_MAX)

    def says(self, data: bytes) -> None:
        os.write(self._theirs, data)
        self.counters.lines.drain(self._ours)

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def shown(counters: FirecrackerCounters) -> dict[str, str]:
    return {figure.name: figure.value for figure in counters.summary().figures}


def test_what_came_since_the_last_line_is_added(pipe: Pipe) -> None:
    pipe.says(line(block={"read_bytes": 1000, "read_count": 2, "write_bytes": 0}))
    pipe.says(line(block={"read_bytes": 24, "read_count": 1, "write_bytes": 5}))
    summary = pipe.counters.summary()
    assert (summary.disk_read_bytes, summary.disk_written_bytes, pipe.counters.flushes) == (1024, 5, 2)
    assert shown(pipe.counters)["drives read"] == "1 KiB in 3 requests"


def test_a_line_in_pieces_counts_once_and_when_it_is_whole(pipe: Pipe) -> None:
    whole = line(block={"read_bytes": 7})
    pipe.says(whole[:9])
    assert pipe.counters.flushes == 0
    pipe.says(whole[9:])
    assert (pipe.counters.flushes, pipe.counters.summary().disk_read_bytes) == (1, 7)


def test_a_measured_time_is_told_again_and_not_added(pipe: Pipe) -> None:
    for _ in range(2):
        pipe.says(line(latencies_us={"load_snapshot": 12_000}))
    assert shown(pipe.counters)["time to load the snapshot"] == "12 ms"


@pytest.mark.parametrize(
    "lie",
    [
        b"no json\n",
        b"[1]\n",
        b"[" * 20_000 + b"\n",
        line(block=7),
        line(block={"read_bytes": "9"}),
        line(block={"read_bytes": -9}),
        line(block={"read_bytes": True}),
        line(block={"read_bytes": 1e300}),
    ],
    ids=["no json", "no object", "very deep", "no group", "text", "negative", "truth", "float"],
)
def test_what_is_no_count_counts_nothing(pipe: Pipe, lie: bytes) -> None:
    pipe.says(lie)
    assert pipe.counters.summary().disk_read_bytes == 0


def test_no_sum_outgrows_a_number_of_the_kernel(pipe: Pipe) -> None:
    for _ in range(3):
        pipe.says(line(block={"read_bytes": 10**300}))
    assert pipe.counters.summary().disk_read_bytes < 2**63


async def test_who_asks_gets_the_line_that_comes_after(pipe: Pipe) -> None:
    pipe.says(line(block={"read_bytes": 1}))
    waiting = asyncio.create_task(pipe.counters.more_than(pipe.counters.flushes))
    await asyncio.sleep(0)
    assert not waiting.done()
    pipe.says(line(block={"read_bytes": 2}))
    assert await waiting


async def test_one_that_floods_its_pipe_is_not_heard_any_longer(pipe: Pipe) -> None:
    for _ in range(3):
        pipe.says(b"x" * 40_000)
    assert pipe.counters.lines.exhausted
    assert not await pipe.counters.more_than(0)


async def test_asking_often_does_not_use_up_what_is_read(pipe: Pipe) -> None:
    pipe.says(line())
    for asked in range(1, 200):
        waiting = asyncio.create_task(pipe.counters.more_than(asked))
        await asyncio.sleep(0)
        pipe.says(line(block={"padding": "y" * 10_000}))
        assert await waiting
