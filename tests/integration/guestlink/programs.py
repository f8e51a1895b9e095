"""Programs for a guest that tests talk to themselves, without an engine, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from engine.guestlink.guest import Guest, GuestFile, Program, WireLimits
from engine.guestlink.messages import Exit, Output, Started
from tests.integration.guestlink.vsock_machine import DEADLINE_S

MIB = 1024 * 1024
ENV = {"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
LIMITS = WireLimits(60_000, 60_000, 128 * MIB, 64, 4 * MIB, 4 * MIB, 16 * MIB, 32 * MIB)


@dataclass(frozen=True)
class Outcome:
    mode: str
    stdout: bytes
    stderr: bytes
    exit: Exit


def python(code: str, *, warm: bool = False, stdin: bytes | None = None) -> Program:
    script = GuestFile("main.py", code.encode())
    return Program(["python3", "main.py"], ENV, "/work", LIMITS, warm=warm, stdin=stdin, script=script)


async def run(guest: Guest, program: Program) -> Outcome:
    mode, said = "", {"stdout": b"", "stderr": b""}
    async with aclosing(guest.execute(program, (), start_deadline_s=DEADLINE_S, grace_s=DEADLINE_S)) as messages:
        async for message in messages:
            if isinstance(message, Started):
                mode = message.mode
            elif isinstance(message, Output):
                said[message.stream] += message.data
            else:
                return Outcome(mode, said["stdout"], said["stderr"], message)
    raise AssertionError("no exit")


async def empty_cell(guest: Guest, parked: Sequence[str] | None = None) -> bool:
    return await guest.prepare(parked, ENV, LIMITS, DEADLINE_S)
