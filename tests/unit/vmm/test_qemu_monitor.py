"""QEMU's monitor: a command and its answer, whatever else QEMU says, and however it lies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.vmm.qemu_monitor import MonitorError, QemuMonitor

GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\n'
MIB = 1024 * 1024


class Qemu:
    """The other end, scripted: ``answers`` are said to the commands that come, in their order."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        ours.setblocking(False)
        self.sock.setblocking(False)
        self.events: list[tuple[str, float]] = []
        self.monitor = QemuMonitor(ours, lambda name, at_s: self.events.append((name, at_s)))
        self.seen: list[dict[str, object]] = []
        self._buffer = b""

    async def says(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def hears(self) -> dict[str, object]:
        while b"\n" not in self._buffer:
            self._buffer += await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        line, _, self._buffer = self._buffer.partition(b"\n")
        self.seen.append(json.loads(line))
        return self.seen[-1]

    async def answers(self, **fields: object) -> None:
        """The next command."""
        command = await self.hears()
        await self.says(json.dumps({**fields, "id": command["id"]}).encode() + b"\n")

    async def greets(self) -> None:
        await self.says(GREETING)
        await self.answers(**{"return": {}})


@pytest.fixture
async def qemu() -> AsyncIterator[Qemu]:
    qemu = Qemu()
    yield qemu
    await qemu.monitor.close()
    qemu.sock.close()


def event(name: str, seconds: int = 5) -> bytes:
    return (
        json.dumps(
            {"event": name, "data": {"n": 1}, "timestamp": {"seconds": seconds, "microseconds": 500_000}}
        ).encode()
        + b"\n"
    )


async def asked(qemu: Qemu, deadline_s: float = 10) -> object:
    async with qemu.monitor.session(deadline_s) as monitor:
        return await monitor.execute("query-status")


async def test_the_answer_is_that_to_the_command_whatever_events_come_between(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.says(event("RESUME"))
    await qemu.answers(**{"return": {"status": "running"}})
    assert await asking == {"status": "running"}
    assert qemu.events == [("RESUME", 5.5)]
    assert [command["execute"] for command in qemu.seen] == ["qmp_capabilities", "query-status"]


async def test_an_event_that_came_unasked_is_heard_with_its_own_time(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.answers(**{"return": 1})
    await asking
    await qemu.says(event("RESUME", seconds=7))
    asking = asyncio.create_task(asked(qemu))
    await qemu.answers(**{"return": 2})
    assert await asking == 2
    assert qemu.events == [("RESUME", 7.5)]


async def test_a_refusal_is_told_in_qemus_words_and_is_no_end(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.answers(error={"class": "GenericError", "desc": "not now"})
    with pytest.raises(MonitorError, match="query-status: not now"):
        await asking
    asking = asyncio.create_task(asked(qemu))
    await qemu.answers(**{"return": 3})
    assert await asking == 3


async def test_the_late_answer_to_a_command_that_was_given_up_is_not_taken_for_the_next(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu, deadline_s=0.2))
    await qemu.greets()
    with pytest.raises(TimeoutError):
        await asking
    asking = asyncio.create_task(asked(qemu))
    await qemu.answers(**{"return": "late"})
    await qemu.answers(**{"return": "right"})
    assert await asking == "right"


async def test_an_awaited_event_gives_its_data(qemu: Qemu) -> None:
    async def migrated() -> object:
        async with qemu.monitor.session(10) as monitor:
            await monitor.execute("migrate")
            return await monitor.event("MIGRATION")

    migrating = asyncio.create_task(migrated())
    await qemu.greets()
    await qemu.answers(**{"return": {}})
    await qemu.says(event("STOP") + event("MIGRATION"))
    assert await migrating == {"n": 1}


async def test_an_awaited_event_may_come_before_the_answer_to_what_caused_it(qemu: Qemu) -> None:
    async def migrated() -> object:
        async with qemu.monitor.session(10) as monitor:
            await monitor.execute("migrate")
            return await monitor.event("MIGRATION")

    migrating = asyncio.create_task(migrated())
    await qemu.greets()
    command = await qemu.hears()
    await qemu.says(event("MIGRATION") + json.dumps({"return": {}, "id": command["id"]}).encode() + b"\n")
    assert await migrating == {"n": 1}


async def test_giving_up_while_half_an_answer_is_there_spoils_nothing(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    command = await qemu.hears()
    answer = json.dumps({"return": "late", "id": command["id"]}).encode() + b"\n"
    await qemu.says(answer[:7])
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait((asking,))
    await qemu.says(answer[7:])
    asking = asyncio.create_task(asked(qemu))
    await qemu.answers(**{"return": "right"})
    assert await asking == "right"


async def test_one_at_a_time_has_the_monitor(qemu: Qemu) -> None:
    both = [asyncio.create_task(asked(qemu)) for _ in range(2)]
    await qemu.greets()
    await qemu.answers(**{"return": 1})
    await qemu.answers(**{"return": 2})
    assert await asyncio.gather(*both) == [1, 2]


@pytest.mark.parametrize(
    "nonsense",
    [b"no json\n", b"[]\n", b"[" * 100_000 + b"\n", b'{"hello": 1}\n'],
    ids=["no json", "no object", "very deep", "no greeting"],
)
async def test_what_is_no_qmp_ends_the_monitor(qemu: Qemu, nonsense: bytes) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.says(nonsense)
    with pytest.raises(MonitorError, match="is gone"):
        await asking
    with pytest.raises(MonitorError, match="is gone"):
        await asked(qemu)


async def test_one_that_is_closed_says_so(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.hears()
    qemu.sock.close()
    with pytest.raises(MonitorError, match="QEMU closed it"):
        await asking


async def test_one_that_talks_without_end_is_heard_to_a_bound(qemu: Qemu) -> None:
    async def flood() -> int:
        sent = 0
        try:
            while True:
                await qemu.says(event("FLOOD") * 100)
                sent += len(event("FLOOD")) * 100
        except ConnectionError:
            return sent

    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    flooding = asyncio.create_task(flood())
    async with asyncio.timeout(30):
        with pytest.raises(MonitorError, match="more than any answer"):
            await asking
        await qemu.monitor.close()
        assert await flooding < 8 * MIB


async def test_a_line_without_an_end_is_kept_to_a_bound_over_however_many_commands(qemu: Qemu) -> None:
    """Each of which gives up in time, as the sampler's questions do."""

    async def endless() -> int:
        sent = 0
        with contextlib.suppress(ConnectionError):
            while True:
                await qemu.says(b"x" * 16_384)
                sent += 16_384
                await asyncio.sleep(0.01)  # so that each command gets a part of it
        return sent

    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.answers(**{"return": 1})
    await asking
    flooding = asyncio.create_task(endless())
    async with asyncio.timeout(30):
        with pytest.raises(MonitorError, match="more than any answer"):  # noqa: PT012 - until it is raised
            while True:
                with contextlib.suppress(TimeoutError):
                    await asked(qemu, deadline_s=0.05)
        assert not qemu.monitor._buffer
        await qemu.monitor.close()
        assert await flooding < 1 * MIB


async def test_one_that_talks_without_end_does_not_hold_up_the_event_loop(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.hears()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    flooding = asyncio.create_task(qemu.says(event("FLOOD") * 100_000))
    async with asyncio.timeout(30):
        with pytest.raises(MonitorError, match="more than any answer"):
            await asking
    for task in (other, flooding):
        task.cancel()
    await asyncio.wait((other, flooding))
    assert turns > 4 * MIB // (64 * 1024)


@pytest.mark.parametrize(
    "stamp",
    [
        '{"seconds": 1' + "0" * 400 + ', "microseconds": 0}',
        '{"seconds": 1e400, "microseconds": 0}',
        '{"seconds": -1, "microseconds": -1}',
        "[]",
    ],
    ids=["too long a number", "infinite", "unknown", "no object"],
)
async def test_an_event_of_no_possible_time_is_of_now(qemu: Qemu, stamp: str) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.says(b'{"event": "RESUME", "timestamp": ' + stamp.encode() + b"}\n")
    await qemu.answers(**{"return": 1})
    await asking
    ((name, at_s),) = qemu.events
    assert (name, abs(at_s - time.time()) < 60) == ("RESUME", True)


@pytest.mark.parametrize("error", [[], "no", {"desc": {"deep": 1}}, {}])
async def test_a_refusal_of_another_shape_is_one(qemu: Qemu, error: object) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.answers(error=error)
    with pytest.raises(MonitorError, match="query-status: it did not say why"):
        await asking


async def test_text_that_can_not_be_written_out_again_ends_the_monitor(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    command = await qemu.hears()
    await qemu.says(b'{"error": {"desc": "\\ud800"}, "id": ' + str(command["id"]).encode() + b"}\n")
    with pytest.raises(MonitorError, match="no QMP") as raised:
        await asking
    raised.value.message.encode()


async def test_nothing_is_read_while_nothing_is_asked(qemu: Qemu) -> None:
    """So a QEMU that was taken over can only fill its own socket."""
    asking = asyncio.create_task(asked(qemu))
    await qemu.greets()
    await qemu.answers(**{"return": 1})
    await asking
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 8 * MIB:
            sent += qemu.sock.send(event("FLOOD"))
            await asyncio.sleep(0)
    assert 0 < sent < 8 * MIB
    assert qemu.events == []


async def test_who_waits_for_an_answer_is_let_go_when_the_vm_ends(qemu: Qemu) -> None:
    asking = asyncio.create_task(asked(qemu, deadline_s=60))
    await qemu.greets()
    await qemu.hears()
    async with asyncio.timeout(10):
        await qemu.monitor.close()
        with pytest.raises(MonitorError, match="the VM has ended"):
            await asking
    await qemu.monitor.close()


async def test_a_descriptor_goes_with_its_command(qemu: Qemu, tmp_path: Path) -> None:
    async def hand_over() -> object:
        fd = os.open(tmp_path / "state", os.O_CREAT | os.O_WRONLY)
        try:
            async with qemu.monitor.session(10) as monitor:
                return await monitor.execute("getfd", {"fdname": "state"}, hand_over=fd)
        finally:
            os.close(fd)

    handing = asyncio.create_task(hand_over())
    await qemu.greets()
    while True:
        try:
            line, (received,), *_ = socket.recv_fds(qemu.sock, 65536, 1)
            break
        except BlockingIOError:
            await asyncio.sleep(0.001)
    command = json.loads(line)
    os.write(received, b"written")
    os.close(received)
    await qemu.says(json.dumps({"return": {}, "id": command["id"]}).encode() + b"\n")
    await handing
    assert (tmp_path / "state").read_bytes() == b"written"
