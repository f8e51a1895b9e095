"""The agent in a microVM that has vsock for a channel, as Firecracker gives it: hosts come, go and come again."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from engine.errors import OutcomeUnknownError
from engine.guestlink.guest import Guest
from engine.guestlink.hybrid_vsock import NotListeningError, connect, connect_once_greeted, connect_once_listening
from engine.guestlink.messages import Output
from guest import protocol
from tests.integration.guestlink.programs import MIB, empty_cell, python, run
from tests.integration.guestlink.vsock_machine import DEADLINE_S, VsockMachine

pytestmark = [pytest.mark.vm, pytest.mark.asyncio(loop_scope="module")]

NO_SUCH_PORT = 5001


async def start(guest: Guest, code: str) -> None:
    """Return with the program running, and its first output read."""
    messages = guest.execute(python(code), (), start_deadline_s=DEADLINE_S, grace_s=DEADLINE_S)
    async with aclosing(messages):
        async for message in messages:
            if isinstance(message, Output):
                return
    raise AssertionError("it ended without a word")


async def test_each_connection_is_greeted_and_brings_the_guest_up_to_date(machine: VsockMachine) -> None:
    for identity in ("first", "second"):
        guest = await machine.dial()
        hello = await guest.hello(DEADLINE_S)
        assert hello.version == protocol.PROTOCOL_VERSION
        assert hello.boot_ms.keys() == {"init", "modules", "image", "agent"}
        answer = await guest.resync(identity, DEADLINE_S)
        assert (answer.identity, answer.entropy) == (identity, True)
        await guest.close()


async def test_a_program_has_its_input_output_and_exit_code(guest: Guest) -> None:
    await empty_cell(guest)
    code = "import sys; print(sys.stdin.read().upper()); print('aside', file=sys.stderr); sys.exit(7)"
    outcome = await run(guest, python(code, stdin=b"over vsock"))
    assert (outcome.stdout, outcome.stderr) == (b"OVER VSOCK\n", b"aside\n")
    assert (outcome.exit.code, outcome.exit.reason) == (7, "exit")


async def test_more_than_all_buffers_hold_arrives_whole_both_ways(guest: Guest) -> None:
    await empty_cell(guest)
    data = bytes(range(256)) * (3 * MIB // 256)
    outcome = await run(guest, python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", stdin=data))
    assert outcome.exit.code == 0, outcome.stderr
    assert outcome.stdout == data


async def test_a_parked_interpreter_outlives_the_connection(machine: VsockMachine, guest: Guest) -> None:
    assert await empty_cell(guest, parked=["python3"])
    await guest.close()
    again = await machine.dial()
    await again.hello(DEADLINE_S)
    outcome = await run(again, python("print('here')", warm=True))
    await again.close()
    assert (outcome.mode, outcome.stdout) == ("warm", b"here\n")


async def test_a_new_connection_takes_the_place_of_one_that_was_never_closed(
    machine: VsockMachine, guest: Guest
) -> None:
    newer = await machine.dial()
    await newer.hello(DEADLINE_S)
    with pytest.raises(OutcomeUnknownError, match="connection to the guest ended"):
        await guest.stats(DEADLINE_S)
    assert (await newer.stats(DEADLINE_S)).memory_total_bytes > 0
    await newer.close()


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "replaced"])
async def test_a_lost_host_ends_its_program_and_the_next_hears_nothing_of_it(
    machine: VsockMachine, guest: Guest, *, closed: bool
) -> None:
    await empty_cell(guest)
    await start(guest, "while True: print('x' * 100)")
    if closed:
        await guest.close()
    next_guest = await machine.dial()
    await next_guest.hello(DEADLINE_S)
    code = """
import os
while [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]:
    pass
print("alone")
"""
    outcome = await run(next_guest, python(code))  # ended at its wall limit if the other still runs
    await next_guest.close()
    assert (outcome.stdout, outcome.exit.reason) == (b"alone\n", "exit")


async def test_half_a_message_of_a_lost_host_is_not_put_before_the_next_ones(machine: VsockMachine) -> None:
    stream = await connect_once_greeted(machine.vsock, protocol.AGENT_PORT, DEADLINE_S)
    await stream.write((protocol.encode(protocol.STATS, 1) + protocol.encode(protocol.STATS, 2))[:-1])
    decoder, answered = protocol.Decoder(), 0
    while answered != 1:  # then it has the half of the other as well: they came in one packet
        data = await stream.read()
        assert data, "the agent hung up"
        answered = max((frame.op for frame in decoder.feed(data)), default=0)
    await stream.close()
    guest = await machine.dial()
    await guest.hello(DEADLINE_S)
    assert (await guest.stats(DEADLINE_S)).memory_total_bytes > 0
    await guest.close()


async def test_a_port_that_nobody_listens_on_refuses(machine: VsockMachine, guest: Guest) -> None:
    with pytest.raises(NotListeningError, match="Nothing in the guest listens on vsock port 5001"):
        await connect(machine.vsock, NO_SUCH_PORT, DEADLINE_S)
    with pytest.raises(NotListeningError, match="not reached within 1 s"):
        await connect_once_listening(machine.vsock, NO_SUCH_PORT, 1)
    assert (await guest.stats(DEADLINE_S)).memory_total_bytes > 0, "the agent's own connection stays"


async def test_code_in_a_cell_can_not_open_the_vsock_that_is_there(guest: Guest) -> None:
    await empty_cell(guest)
    code = """
import errno, socket
for family in (socket.AF_VSOCK, socket.AF_INET, socket.AF_UNIX):
    for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM | socket.SOCK_NONBLOCK):
        try:
            socket.socket(family, kind).close()
            print(family.name, "opened")
        except OSError as error:
            print(family.name, errno.errorcode[error.errno])
"""
    outcome = await run(guest, python(code))
    assert outcome.stdout.decode().splitlines() == [
        *["AF_VSOCK EPERM"] * 2,
        *["AF_INET opened"] * 2,
        *["AF_UNIX opened"] * 2,
    ], outcome.stderr
