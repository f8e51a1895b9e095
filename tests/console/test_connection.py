"""The connection as a state machine: how it opens, what is a loss, how it comes back, what callers get meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from console import connection as module
from console.app import ConsoleApp
from console.connection import Connection, ConnectionState
from engine.errors import InternalError, NotFoundError, NotReadyError
from engine.models import JobEvent
from tests.console.fake_engine import IDENTITY, FakeEngine, typical
from tests.console.samples import JOBS, NOW

DEADLINE_S = 10.0


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_AFTER_S", (0.01,))


async def reaches(connection: Connection, state: ConnectionState) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while connection.state is not state:
            await connection._changed.wait()


@asynccontextmanager
async def opened(engine: FakeEngine) -> AsyncIterator[Connection]:
    connection = Connection(engine.context)
    connection.start()
    try:
        await connection.opened()
        yield connection
    finally:
        await connection.close()


@contextmanager
def recorded(connection: Connection) -> Iterator[list[ConnectionState]]:
    """The states it comes to."""
    states: list[ConnectionState] = []

    def note() -> None:
        if not states or states[-1] is not connection.state:
            states.append(connection.state)

    connection.on_change = note
    yield states


async def test_it_opens_tells_who_answers_and_closes() -> None:
    engine = typical()
    connection = Connection(engine.context)
    with recorded(connection) as states:
        connection.start()
        assert await connection.opened() is engine
        assert connection.identity == IDENTITY
        assert await connection.close(DEADLINE_S)
    assert states == [ConnectionState.STARTING, ConnectionState.OPEN, ConnectionState.CLOSED]
    assert (engine.opened, engine.closed) == (1, 1)


async def test_what_keeps_it_from_opening_is_raised_to_its_callers_until_it_is_started_again() -> None:
    engine = typical()
    engine.opening = NotReadyError("No room.", remedy="Make some.")
    connection = Connection(engine.context)
    connection.start()
    with pytest.raises(NotReadyError, match="No room"):
        await connection.opened()
    assert connection.state is ConnectionState.FAILED
    assert connection._task is None  # so nothing tries by itself
    assert engine.opened == 1
    engine.opening = None
    connection.start()
    assert await connection.opened() is engine
    await connection.close()


async def test_an_engine_that_nobody_can_attach_to_is_a_failed_opening() -> None:
    engine = typical()
    engine.failing = InternalError("Another version.")
    connection = Connection(engine.context)
    connection.start()
    await reaches(connection, ConnectionState.FAILED)
    assert (engine.opened, engine.closed) == (1, 1)


async def test_the_end_of_the_stream_is_a_loss_that_is_tried_again_until_it_is_back() -> None:
    engine = typical()
    async with opened(engine) as connection:
        engine.gone.set()
        await reaches(connection, ConnectionState.LOST)
        async with asyncio.timeout(DEADLINE_S):
            while engine.opened < 4:
                await asyncio.sleep(0.01)
        assert connection.state is ConnectionState.LOST
        engine.gone.clear()
        await reaches(connection, ConnectionState.OPEN)
    assert engine.opened == engine.closed


async def test_silence_is_a_loss_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_AFTER_S", 0.05)
    async with opened(typical()) as connection:  # whose beats come every 5 seconds
        await reaches(connection, ConnectionState.LOST)
        assert "silent" in str(connection.error)


async def test_while_it_is_lost_nothing_is_asked_later_without_the_operator_knowing() -> None:
    engine = typical()
    async with opened(engine) as connection:
        engine.gone.set()
        await reaches(connection, ConnectionState.LOST)
        with pytest.raises(NotReadyError, match="nothing was asked"):
            await connection.opened()


async def test_starting_it_again_while_it_is_lost_does_not_wait_for_the_next_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY_AFTER_S", (3600.0,))
    engine = typical()
    async with opened(engine) as connection:
        engine.gone.set()
        await reaches(connection, ConnectionState.LOST)
        engine.gone.clear()
        connection.start()
        await reaches(connection, ConnectionState.OPEN)


@pytest.mark.parametrize(("serves", "starts"), [("daemon", [True, False]), ("console", [True, True])])
async def test_only_an_engine_of_the_consoles_own_is_replaced_when_it_is_lost(serves: str, starts: list[bool]) -> None:
    """A daemon that comes back must find its data folder free."""
    engine = typical()
    engine.identity = IDENTITY.model_copy(update={"serves": serves})
    asked: list[bool] = []

    @asynccontextmanager
    async def factory(_tell: Callable[[str], None], *, may_start: bool) -> AsyncIterator[FakeEngine]:
        asked.append(may_start)
        engine.gone.clear()
        yield engine

    connection = Connection(factory)
    connection.start()
    await connection.opened()
    engine.gone.set()
    await reaches(connection, ConnectionState.LOST)
    await reaches(connection, ConnectionState.OPEN)
    await connection.close()
    assert asked == starts


async def test_an_engine_of_its_own_that_can_not_be_started_again_is_not_tried_for_ever() -> None:
    engine = typical()
    engine.identity = IDENTITY.model_copy(update={"serves": "console"})
    async with opened(engine) as connection:
        engine.opening = InternalError("It ends at once.")
        engine.gone.set()
        await reaches(connection, ConnectionState.FAILED)
        assert engine.opened == 2


async def test_what_an_opening_waits_for_is_kept_until_the_next() -> None:
    told = asyncio.Event()
    free = asyncio.Event()

    @asynccontextmanager
    async def factory(tell: Callable[[str], None], *, may_start: bool) -> AsyncIterator[FakeEngine]:
        tell("another one has it")
        told.set()
        await free.wait()
        yield typical()

    connection = Connection(factory)
    connection.start()
    await told.wait()
    assert (connection.state, connection.words) == (ConnectionState.STARTING, "another one has it")
    free.set()
    await connection.opened()
    await connection.close()


class Interrupted(FakeEngine):
    """Its job has five events, of which one opening gives two."""

    async def job_events(self, job_id: str, *, after: int = 0) -> AsyncGenerator[JobEvent]:
        for seq in range(after + 1, min(after + 2, 5) + 1):
            yield JobEvent(job_id=job_id, seq=seq, at=NOW, line=str(seq), job=JOBS[0])
        if after + 2 < 5:
            self.gone.set()
            await asyncio.Event().wait()


async def test_a_stream_goes_on_after_its_last_event_when_the_engine_is_back() -> None:
    engine = Interrupted()
    seen: list[int] = []
    async with opened(engine) as connection:

        async def follow() -> None:
            events = connection.resumed(
                lambda api, after: api.job_events("j1", after=after), lambda event: event.seq, after=0
            )
            async with aclosing(events):
                async for event in events:
                    seen.append(event.seq)

        def mend() -> None:
            if connection.state is ConnectionState.LOST:
                engine.gone.clear()

        connection.on_change = mend
        await asyncio.wait_for(follow(), DEADLINE_S)
    assert seen == [1, 2, 3, 4, 5]


async def test_what_the_engine_itself_raises_ends_a_stream() -> None:
    async with opened(typical()) as connection:
        events = connection.resumed(lambda api, after: api.job_events("none", after=after), lambda event: event.seq)
        with pytest.raises(NotFoundError):
            await asyncio.wait_for(anext(events), DEADLINE_S)


def test_the_table_of_states_names_each_state_once_and_none_is_a_dead_end() -> None:
    assert set(module._NEXT) == set(ConnectionState)
    assert all(module._NEXT.values())
    assert all(ConnectionState.CLOSED in nexts for state, nexts in module._NEXT.items() if state != "closed")


async def test_a_change_that_the_table_does_not_have_is_refused() -> None:
    connection = Connection(typical().context)
    with pytest.raises(InternalError, match="closed to open"):
        connection._become(ConnectionState.OPEN)


async def test_ages_are_told_by_the_engines_clock() -> None:
    engine = typical()
    hour = timedelta(hours=1)
    engine.identity = IDENTITY.model_copy(update={"now": datetime.now(UTC) + hour})
    async with opened(engine) as connection:
        app = ConsoleApp(connection)
        assert abs(app.now() - datetime.now(UTC) - hour) < timedelta(seconds=30)
