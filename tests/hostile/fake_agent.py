"""An agent under an attacker's control, as a process of its own: ``python -m tests.hostile.fake_agent FD LIE``.

It answers honestly up to the point where its lie begins. What it allocates does not count for the host.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle

from guest import protocol
from guest.protocol import Frame, encode

MIB = 1024 * 1024
Lie = Callable[["Agent"], None]
LIES: dict[str, Lie] = {}


class Agent:
    """The guest's end of the wire."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._decoder = protocol.Decoder()
        self._frames: list[Frame] = []

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def asked_to_run(self) -> int:
        """Honest until the host asks for a program; its op."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.type == protocol.EXEC:
                    return frame.op
                if frame.type == protocol.RESYNC:
                    self._resynced(frame)
            data = self.socket.recv(MIB)
            if not data:
                sys.exit(0)
            self._frames += self._decoder.feed(data)

    def _resynced(self, asked: Frame) -> None:
        identity = asked.fields.get("identity", "vm")
        self.send(
            encode(protocol.RESYNCED, asked.op, time_ns=time.time_ns(), entropy=True, boot_id="b", identity=identity)
        )

    def start(self) -> int:
        """Honest until the program runs; its op."""
        op = self.asked_to_run()
        self.send(encode(protocol.STARTED, op, mode="warm"))
        return op

    def exit(self, op: int, **fields: object) -> None:
        self.send(encode(protocol.EXIT, op, **{"code": 0, "signal": None, "reason": "exit", **fields}))

    def forever(self, data: bytes) -> None:
        while True:
            self.send(data)


def lie(behaviour: Lie) -> Lie:
    LIES[behaviour.__name__] = behaviour
    return behaviour


def frame(header: bytes, body: bytes = b"") -> bytes:
    """A frame whose header need not be what ``encode`` would make."""
    return struct.pack(">II", len(header), len(body)) + header + body


def silence() -> None:
    time.sleep(3600)


# --- bytes that are not the protocol


@lie
def header_of_4_gib(agent: Agent) -> None:
    agent.start()
    agent.send(struct.pack(">II", 0xFFFFFFFF, 0))
    agent.forever(bytes(MIB))


@lie
def body_of_4_gib(agent: Agent) -> None:
    agent.start()
    agent.send(struct.pack(">II", 2, 0xFFFFFFFF) + b"{}")
    agent.forever(bytes(MIB))


@lie
def empty_header(agent: Agent) -> None:
    agent.start()
    agent.forever(bytes(8))


@lie
def garbage(agent: Agent) -> None:
    agent.start()
    while True:
        agent.send(os.urandom(65536))


@lie
def header_that_is_no_json(agent: Agent) -> None:
    agent.start()
    agent.send(frame(b"{" * 100))


@lie
def header_that_is_no_utf8(agent: Agent) -> None:
    agent.start()
    agent.send(frame(b'{"type":"\xff"}'))


@lie
def header_with_a_tail(agent: Agent) -> None:
    op = agent.start()
    agent.send(frame(json.dumps({"type": "stdout", "op": op}).encode() + b" {}", b"x"))


@lie
def lists_in_lists(agent: Agent) -> None:
    agent.start()
    agent.forever(frame(b"[" * protocol.MAX_HEADER))


@lie
def tables_in_tables(agent: Agent) -> None:
    agent.start()
    agent.forever(frame(b'{"a":' * (protocol.MAX_HEADER // 5)))


@lie
def nan(agent: Agent) -> None:
    agent.start()
    agent.send(frame(b'{"type":"exit","op":2,"code":NaN}'))


@lie
def number_of_60_000_digits(agent: Agent) -> None:
    agent.start()
    agent.forever(frame(b'{"type":"exit","op":' + b"9" * 60_000 + b"}"))


# --- frames that mean nothing here


@lie
def unknown_type(agent: Agent) -> None:
    agent.forever(encode("x" * 60_000, agent.start()))


@lie
def type_that_is_no_text(agent: Agent) -> None:
    agent.start()
    agent.send(frame(b'{"type":["stdout"],"op":2}'))


@lie
def lone_surrogate_as_type(agent: Agent) -> None:
    agent.start()
    agent.send(frame(b'{"type":"\\ud800","op":2}'))


@lie
def another_op(agent: Agent) -> None:
    agent.send(encode(protocol.STDOUT, agent.start() + 1, b"x"))


@lie
def op_of_before(agent: Agent) -> None:
    agent.send(encode(protocol.STDOUT, agent.start() - 1, b"x"))


@lie
def op_beyond_numbers(agent: Agent) -> None:
    agent.start()
    agent.send(frame(b'{"type":"stdout","op":18446744073709551617}', b"x"))


@lie
def op_true(agent: Agent) -> None:
    agent.start()
    agent.send(frame(b'{"type":"stdout","op":true}', b"x"))


@lie
def output_of_nothing(agent: Agent) -> None:
    agent.forever(encode(protocol.STDOUT, agent.start()))


@lie
def output_before_the_start(agent: Agent) -> None:
    agent.send(encode(protocol.STDOUT, agent.asked_to_run(), b"x"))


@lie
def exit_before_the_start(agent: Agent) -> None:
    agent.exit(agent.asked_to_run())


@lie
def two_starts(agent: Agent) -> None:
    agent.send(encode(protocol.STARTED, agent.start(), mode="warm"))


@lie
def answers_that_nobody_asked_for(agent: Agent) -> None:
    agent.forever(encode(protocol.OK, agent.start()))


@lie
def hello_in_the_middle(agent: Agent) -> None:
    op = agent.start()
    fields = {"version": 1, "agent": "x", "kernel": "x", "memory_max_bytes": 1, "boot_ms": {}}
    agent.send(encode(protocol.HELLO, op, **fields))


@lie
def a_refusal_without_end(agent: Agent) -> None:
    agent.send(encode(protocol.ERROR, agent.start(), code="x", message="m" * 60_000))


# --- too much


@lie
def more_output_than_the_limit(agent: Agent) -> None:
    agent.forever(encode(protocol.STDOUT, agent.start(), bytes(protocol.MAX_BODY)))


@lie
def flood_of_single_bytes(agent: Agent) -> None:
    agent.forever(encode(protocol.STDERR, agent.start(), b"x") * 1000)


@lie
def flood_of_single_bytes_of_both_streams(agent: Agent) -> None:
    op = agent.start()
    agent.forever((encode(protocol.STDOUT, op, b"\xff") + encode(protocol.STDERR, op, b"\xff")) * 1000)


# --- too little


@lie
def silent_from_the_start(agent: Agent) -> None:
    silence()


@lie
def silent_in_the_run(agent: Agent) -> None:
    agent.start()
    silence()


@lie
def half_a_frame(agent: Agent) -> None:
    agent.send(encode(protocol.STDOUT, agent.start(), b"x" * 1000)[:500])
    silence()


@lie
def half_a_frame_and_the_end(agent: Agent) -> None:
    agent.send(encode(protocol.STDOUT, agent.start(), b"x" * 1000)[:500])


@lie
def byte_by_byte(agent: Agent) -> None:
    for byte in cycle(encode(protocol.STDOUT, agent.start(), bytes(protocol.CHUNK))):
        agent.send(bytes([byte]))
        time.sleep(0.01)


@lie
def gone_at_once(agent: Agent) -> None:
    pass


@lie
def gone_in_the_run(agent: Agent) -> None:
    agent.start()


# --- honest, to show that the tests would notice


@lie
def nothing_but_the_truth(agent: Agent) -> None:
    op = agent.start()
    agent.send(encode(protocol.STDOUT, op, b"fine"))
    agent.exit(op)


@lie
def truth_in_many_words(agent: Agent) -> None:
    """More than the socket and the host's own buffers hold, so that the end comes after a slow caller's deadline."""
    op = agent.start()
    for _ in range(8):
        agent.send(encode(protocol.STDOUT, op, bytes(128 * 1024)))
    agent.exit(op)


@lie
def truth_without_reading_stdin(agent: Agent) -> None:
    agent.exit(agent.start())
    silence()


@lie
def two_exits(agent: Agent) -> None:
    """The second is there before the host asks for a second program."""
    op = agent.start()
    agent.send(b"".join(encode(protocol.EXIT, op, code=code, signal=None, reason="exit") for code in (0, 1)))
    silence()


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as sock, suppress(BrokenPipeError, ConnectionResetError):
        LIES[sys.argv[2]](Agent(sock))  # until it is through, or the host has hung up, as it should


if __name__ == "__main__":
    main()
