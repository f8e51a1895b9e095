"""Asking a guest for its figures while its program runs: the run notices nothing, and nobody waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine.errors import GuestProtocolError
from engine.guestlink.guest import Guest, GuestSilentError, Program, WireLimits
from engine.guestlink.messages import Exit, Output, Started
from engine.guestlink.stream import CountedStream, Traffic
from guest import protocol
from guest.protocol import Frame

PROGRAM = Program(["x"], {}, "/", WireLimits(60_000, 1, 1, 1, 1000, 1000, 1, 1))
FIGURES = {"memory_total_bytes": 10, "memory_available_bytes": 4, "run_memory_bytes": 2, "run_cpu_ms": 1.0}


class Agent:
    """The agent's end, scripted."""

    def __init__(self) -> None:
        self._to_host: asyncio.Queue[bytes] = asyncio.Queue()
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._decoder = protocol.Decoder()
        self.asked = 0

    async def read(self) -> bytes:
        return await self._to_host.get()

    async def write(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            self.asked += frame.type == protocol.STATS
            self._frames.put_nowait(frame)

    async def close(self) -> None:
        """Nothing is open."""

    def says(self, kind: str, op: int, body: bytes = b"", **fields: object) -> None:
        self._to_host.put_nowait(protocol.encode(kind, op, body, **fields))

    async def hears(self, kind: str) -> int:
        """The op of the next frame, which is of that kind."""
        frame = await asyncio.wait_for(self._frames.get(), 10)
        assert frame.type == kind
        return frame.op


class Run:
    """A program that runs, and who follows it."""

    def __init__(self, guest: Guest, agent: Agent) -> None:
        self.guest, self.agent = guest, agent
        self.said: list[bytes] = []
        self.following = asyncio.create_task(self._follow())
        self.op = 0

    async def begin(self) -> None:
        self.op = await self.agent.hears(protocol.EXEC)
        self.agent.says(protocol.STARTED, self.op, mode="spawn")

    async def _follow(self) -> Exit:
        async for message in self.guest.execute(PROGRAM, (), start_deadline_s=10, grace_s=10):
            if isinstance(message, Output):
                self.said.append(message.data)
            elif not isinstance(message, Started):
                return message
        raise AssertionError("no exit")

    async def ends(self) -> Exit:
        self.agent.says(protocol.EXIT, self.op, code=0, signal=None, reason="exit")
        return await asyncio.wait_for(self.following, 10)


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
async def run(agent: Agent) -> AsyncIterator[Run]:
    run = Run(Guest(agent), agent)
    await run.begin()
    yield run
    run.following.cancel()
    await asyncio.wait((run.following,))


async def test_the_answer_comes_between_the_output_and_changes_nothing_of_it(run: Run) -> None:
    run.agent.says(protocol.STDOUT, run.op, b"one")
    asking = asyncio.create_task(run.guest.stats_meanwhile(10))
    op = await run.agent.hears(protocol.STATS)
    run.agent.says(protocol.STATS, op, **FIGURES)
    run.agent.says(protocol.STDOUT, run.op, b"two")
    assert (await asking).memory_available_bytes == 4
    assert (await run.ends()).code == 0
    assert run.said == [b"one", b"two"]


async def test_a_guest_that_does_not_answer_is_given_up_and_its_run_goes_on(run: Run) -> None:
    with pytest.raises(GuestSilentError, match="did not answer within"):
        await run.guest.stats_meanwhile(0.01)
    assert (await run.ends()).code == 0


async def test_nothing_more_is_asked_before_the_answer_has_come(run: Run) -> None:
    for _ in range(5):
        with pytest.raises(GuestSilentError):
            await run.guest.stats_meanwhile(0.01)
    assert run.agent.asked == 1


async def test_a_late_answer_is_nobodys_and_the_next_question_has_its_own(run: Run) -> None:
    with pytest.raises(GuestSilentError):
        await run.guest.stats_meanwhile(0.01)
    late = await run.agent.hears(protocol.STATS)
    run.agent.says(protocol.STATS, late, **{**FIGURES, "run_memory_bytes": 1})
    run.agent.says(protocol.STDOUT, run.op, b"after")
    while not run.said:
        await asyncio.sleep(0.001)
    asking = asyncio.create_task(run.guest.stats_meanwhile(10))
    run.agent.says(protocol.STATS, await run.agent.hears(protocol.STATS), **FIGURES)
    assert (await asking).run_memory_bytes == 2


async def test_a_refusal_is_a_reason_and_no_end(run: Run) -> None:
    asking = asyncio.create_task(run.guest.stats_meanwhile(10))
    op = await run.agent.hears(protocol.STATS)
    run.agent.says(protocol.ERROR, op, code="failed", message="no meminfo")
    with pytest.raises(GuestSilentError, match="no meminfo"):
        await asking
    assert (await run.ends()).code == 0


async def test_figures_that_nobody_asked_for_are_a_breach(run: Run) -> None:
    run.agent.says(protocol.STATS, run.op + 1, **FIGURES)
    with pytest.raises(GuestProtocolError, match="out of turn"):
        await run.following


async def test_a_second_answer_is_a_breach(run: Run) -> None:
    asking = asyncio.create_task(run.guest.stats_meanwhile(10))
    op = await run.agent.hears(protocol.STATS)
    run.agent.says(protocol.STATS, op, **FIGURES)
    run.agent.says(protocol.STATS, op, **FIGURES)
    await asking
    with pytest.raises(GuestProtocolError, match="out of turn"):
        await run.following


async def test_another_answer_than_figures_is_a_breach(run: Run) -> None:
    asking = asyncio.create_task(run.guest.stats_meanwhile(0.5))
    op = await run.agent.hears(protocol.STATS)
    run.agent.says(protocol.STDOUT, op, b"not what was asked")
    with pytest.raises(GuestProtocolError, match="out of turn"):
        await run.following
    with pytest.raises(GuestSilentError):
        await asking


async def test_without_a_program_nobody_would_take_the_answer(agent: Agent) -> None:
    with pytest.raises(GuestSilentError, match="no program runs"):
        await Guest(agent).stats_meanwhile(10)
    assert agent.asked == 0


async def test_it_is_not_asked_any_more_once_its_program_has_ended(run: Run) -> None:
    await run.ends()
    with pytest.raises(GuestSilentError, match="no program runs"):
        await run.guest.stats_meanwhile(10)


async def test_bytes_of_both_directions_are_counted(agent: Agent) -> None:
    traffic = Traffic()
    stream = CountedStream(agent, traffic)
    await stream.write(protocol.encode(protocol.STATS, 1))
    agent.says(protocol.STATS, 1, **FIGURES)
    data = await stream.read()
    assert (traffic.in_bytes, traffic.out_bytes) == (len(protocol.encode(protocol.STATS, 1)), len(data))
