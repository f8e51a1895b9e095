"""A guest whose kernel and agent are the attacker's: whatever it sends, the host stays small, in time, and truthful."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from engine.errors import GuestProtocolError, InternalError, OutcomeUnknownError
from engine.guestlink.guest import Guest, GuestFile, Program, WireLimits
from engine.guestlink.messages import Exit, Output
from engine.guestlink.stream import SocketStream
from tests.hostile.fake_agent import LIES
from tests.hostile.fake_vmm import FakeVm
from tests.hostile.peak_memory import PeakMemory

MIB = 1024 * 1024
_EXTRA_MEMORY = 32 * MIB
_WALL_MS = 1000
_GRACE_S = 0.5
_START_S = 2.0
_SLACK_S = 3.0  # of a busy machine, beyond the deadlines above

_LIMITS = WireLimits(_WALL_MS, _WALL_MS, 64 * MIB, 16, MIB, MIB, MIB, MIB)
_WIDEST = WireLimits(_WALL_MS, _WALL_MS, 64 * MIB, 16, 64 * MIB, 64 * MIB, MIB, MIB)
_PROGRAM = Program(["python3"], {}, "/work", _LIMITS)

# What the host has to say of each lie, and words of it.
_UNKNOWN = {
    "silent_from_the_start": "did not answer in time",
    "silent_in_the_run": "did not answer in time",
    "half_a_frame": "did not answer in time",
    "byte_by_byte": "did not answer in time",
    "half_a_frame_and_the_end": "connection to the guest ended",
    "gone_at_once": "connection to the guest ended",
    "gone_in_the_run": "connection to the guest ended",
}
_FLOODS = ("flood_of_single_bytes", "flood_of_single_bytes_of_both_streams")  # the limit or the deadline ends them
_HONEST = {"nothing_but_the_truth", "truth_in_many_words", "truth_without_reading_stdin", "two_exits"}
_PROTOCOL = sorted(set(LIES) - set(_UNKNOWN) - _HONEST - set(_FLOODS))


@asynccontextmanager
async def lying_guest(lie: str) -> AsyncIterator[Guest]:
    """A guest whose agent is the fake one."""
    vm = FakeVm("fake", lie)
    await vm.start()
    guest = Guest(await vm.connect())
    try:
        yield guest
    finally:
        try:
            async with asyncio.timeout(_SLACK_S):
                await guest.close()
        finally:
            await vm.destroy()


async def heard(guest: Guest, program: Program = _PROGRAM, files: tuple[GuestFile, ...] = ()) -> tuple[int, Exit]:
    """Bytes of output and the exit of one program."""
    size = 0
    async for message in guest.execute(program, files, start_deadline_s=_START_S, grace_s=_GRACE_S):
        if isinstance(message, Output):
            size += len(message.data)
            await asyncio.sleep(0)  # as any caller lets others run, while more comes in
        elif isinstance(message, Exit):
            return size, message
    raise AssertionError("the stream ended without an exit")


@pytest.fixture
async def bounds() -> AsyncIterator[None]:
    """Neither more memory nor more time than a hostile guest may cost."""
    memory = PeakMemory()
    loop = asyncio.get_running_loop()
    began = loop.time()
    yield
    assert memory.rise() < _EXTRA_MEMORY
    assert loop.time() - began < _START_S + _WALL_MS / 1000 + _GRACE_S + 2 * _SLACK_S


@pytest.mark.parametrize("lie", _PROTOCOL)
async def test_what_is_not_the_protocol_is_told_as_such(bounds: None, lie: str) -> None:
    async with lying_guest(lie) as guest:
        with pytest.raises(GuestProtocolError):
            await heard(guest)


@pytest.mark.parametrize("lie", sorted(_UNKNOWN))
async def test_a_guest_that_falls_silent_or_goes_away_leaves_the_outcome_unknown(bounds: None, lie: str) -> None:
    async with lying_guest(lie) as guest:
        with pytest.raises(OutcomeUnknownError, match=_UNKNOWN[lie]) as caught:
            await heard(guest)
    assert type(caught.value) is OutcomeUnknownError


@pytest.mark.parametrize("limits", [_LIMITS, _WIDEST], ids=["limit of a MiB", "widest limit"])
@pytest.mark.parametrize("lie", _FLOODS)
async def test_a_flood_of_valid_frames_ends_with_the_deadline_at_the_latest(
    bounds: None, lie: str, limits: WireLimits
) -> None:
    async with lying_guest(lie) as guest:
        with pytest.raises(OutcomeUnknownError):
            await heard(guest, Program(["python3"], {}, "/work", limits))


async def test_a_guest_that_never_reads_can_not_hold_up_the_host_with_8_mib_of_files(bounds: None) -> None:
    files = tuple(GuestFile(f"f{number}", bytes(MIB)) for number in range(8))
    async with lying_guest("silent_from_the_start") as guest:
        with pytest.raises(OutcomeUnknownError, match="did not answer in time"):
            await heard(guest, files=files)


async def test_a_guest_that_never_reads_can_not_hold_up_the_host_with_8_mib_of_stdin(bounds: None) -> None:
    async with lying_guest("silent_in_the_run") as guest:
        with pytest.raises(OutcomeUnknownError, match="did not answer in time"):
            await heard(guest, Program(["python3"], {}, "/work", _LIMITS, stdin=bytes(8 * MIB)))


async def test_a_program_may_end_without_having_read_its_8_mib_of_stdin(bounds: None) -> None:
    async with lying_guest("truth_without_reading_stdin") as guest:
        _, end = await heard(guest, Program(["python3"], {}, "/work", _LIMITS, stdin=bytes(8 * MIB)))
    assert end.code == 0


async def test_an_honest_guest_is_believed(bounds: None) -> None:
    async with lying_guest("nothing_but_the_truth") as guest:
        size, end = await heard(guest)
    assert (size, end.code) == (4, 0)


async def test_a_caller_that_is_slow_to_listen_does_not_make_the_guest_late() -> None:
    pieces = 0
    async with lying_guest("truth_in_many_words") as guest:
        async for message in guest.execute(_PROGRAM, (), start_deadline_s=_START_S, grace_s=_GRACE_S):
            if isinstance(message, Output):
                pieces += 1
                await asyncio.sleep((_WALL_MS / 1000 + _GRACE_S) / 4)
    assert isinstance(message, Exit)
    assert pieces == 8


async def test_a_second_exit_changes_nothing_and_spoils_the_next_program(bounds: None) -> None:
    async with lying_guest("two_exits") as guest:
        _, end = await heard(guest)
        assert end.code == 0
        with pytest.raises(GuestProtocolError, match="out of turn"):
            await heard(guest)


# --- single answers, by an agent in this process


@asynccontextmanager
async def answered_with(answer: Callable[[int], bytes]) -> AsyncIterator[Guest]:
    """A guest that has already said ``answer`` (of the op) to the host's first request."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        theirs.sendall(answer(1))
        guest = Guest(await SocketStream.open(ours))
        try:
            yield guest
        finally:
            await guest.close()


def frame_of(header: str) -> bytes:
    raw = header.encode()
    return len(raw).to_bytes(4, "big") + bytes(4) + raw


_RESYNCED = '{{"type":"resynced","op":{op},"time_ns":{time},"entropy":{entropy},"boot_id":"b","identity":"{identity}"}}'


@pytest.mark.parametrize(("entropy", "identity"), [("false", "me"), ("true", "you"), ("true", "")])
async def test_a_guest_that_did_not_become_a_new_one_is_not_used(entropy: str, identity: str) -> None:
    def answer(op: int) -> bytes:
        return frame_of(_RESYNCED.format(op=op, time=1, entropy=entropy, identity=identity))

    async with answered_with(answer) as guest:
        with pytest.raises(InternalError, match="did not confirm"):
            await guest.resync("me", _START_S)


@pytest.mark.parametrize("off_ns", [-(2**60), -51_000_000, 60_000_000_000, 2**62])
async def test_a_guest_with_another_time_is_not_used(off_ns: int) -> None:
    def answers(op: int) -> bytes:
        told = max(0, time.time_ns() + off_ns)
        first = _RESYNCED.format(op=op, time=told, entropy="true", identity="me")
        again = (_RESYNCED.format(op=op + n, time=told, entropy="false", identity="me") for n in range(1, 100))
        return b"".join(frame_of(header) for header in (first, *again))

    async with answered_with(answers) as guest:
        with pytest.raises(InternalError, match="clock"):
            await guest.resync("me", _START_S)


_EXIT = {"code": "0", "signal": "null", "reason": '"exit"'}


@pytest.mark.parametrize(
    "absurd",
    [
        {"code": "256"},
        {"code": "-1"},
        {"code": "0.0"},
        {"code": '"0"'},
        {"code": "true"},
        {"code": "1e999"},
        {"signal": "0"},
        {"signal": "65"},
        {"signal": "-9"},
        {"reason": '"success"'},
        {"reason": "null"},
        {"reason": '"\\ud800"'},
        {"message": '"' + "m" * 5000 + '"'},
        {"message": "[]"},
        {"message": '"\\udfff"'},
        {"timings": '{"exec_ms":1e999}'},
        {"timings": '{"exec_ms":-1}'},
        {"timings": '{"exec_ms":1e300}'},
        {"timings": "[]"},
        {"cpu_ms": "-1"},
        {"cpu_ms": "1e999"},
        {"peak_memory_bytes": str(2**63)},
        {"peak_memory_bytes": "1.5"},
        {"truncated": '{"stdout":1}'},
        {"op": "1.0"},
        {"op": "-1"},
        {"op": "null"},
    ],
    ids=lambda absurd: "".join(f"{name}={value[:20]}" for name, value in absurd.items()),
)
async def test_an_exit_with_absurd_values_is_a_breach(absurd: dict[str, str]) -> None:
    def answers(op: int) -> bytes:
        fields = {"type": '"exit"', "op": str(op), **_EXIT, **absurd}
        exit_header = "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"
        return frame_of(f'{{"type":"started","op":{op},"mode":"warm"}}') + frame_of(exit_header)

    async with answered_with(answers) as guest:
        with pytest.raises(GuestProtocolError):
            await heard(guest)


async def test_what_a_guest_says_is_quoted_briefly() -> None:
    """An error goes to logs, terminals and HTTP answers: none of them should carry what a guest made up."""
    hostile = "\\u001b[2J" + "x" * 60_000

    def answer(op: int) -> bytes:
        return frame_of(
            f'{{"type":"hello","op":0,"version":1,"agent":"a","kernel":"k","memory_max_bytes":1,'
            f'"boot_ms":{{"{hostile}":-1}}}}'
        )

    async with answered_with(answer) as guest:
        with pytest.raises(GuestProtocolError) as caught:
            await guest.hello(_START_S)
    assert len(str(caught.value)) < 600


def test_this_process_can_measure_its_peak() -> None:
    """Without it the memory bounds above would hold for anybody."""
    memory = PeakMemory()
    hoard = bytearray(os.urandom(1)) * (40 * MIB)
    del hoard
    assert memory.rise() > _EXTRA_MEMORY
