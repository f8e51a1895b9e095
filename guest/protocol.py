"""The wire between host and guest agent: the one definition, imported by both ends.

A frame is ``u32 header length, u32 body length`` (big endian), a JSON header, a raw body.
A header is an object with at least ``type`` (a name below) and ``op`` (the request it belongs to; 0 for none).
More than MAX_HEADER or MAX_BODY bytes, or anything else malformed, raises ProtocolError, and the receiver
ends the connection: neither end trusts a length before it has been checked.

The guest imports this in a few milliseconds of emulated CPU, so it stays with the cheapest of the standard library.
"""

from __future__ import annotations

import json
import struct

from guest.static import Any, cast

PROTOCOL_VERSION = 1
AGENT_PORT = 5000  # vsock port, Firecracker
CHANNEL_NAME = "vmdeck.agent"  # virtio-serial port name, QEMU
MAX_HEADER = 64 * 1024
MAX_BODY = 1024 * 1024
CHUNK = 64 * 1024  # size of a body that carries a piece of a stream or file

# guest -> host
HELLO = "hello"  # version, agent, kernel, capabilities, boot_ms
RESYNCED = "resynced"  # time_ns, entropy, identity: what the guest now has, for the host to judge
STARTED = "started"  # mode: "warm" (parked interpreter) or "spawn"
STDOUT = "stdout"
STDERR = "stderr"
EXIT = "exit"  # code, signal, reason, timings, cpu_ms, peak_memory_bytes, truncated
OK = "ok"  # of PREPARE: parked, serving
ERROR = "error"  # code, message
# host -> guest
RESYNC = "resync"  # time_ns, identity; body: fresh entropy
EXEC = "exec"  # argv, env, cwd, warm, stdin, limits; script: path that the body is laid to first
STDIN = "stdin"  # body, eof
KILL = "kill"
# limits, env: a new empty cell, with an interpreter parked in it where argv is given, and with a server running where
# there is a server (start: argv; ready: argv that exits with 0 as soon as it answers; within_ms)
PREPARE = "prepare"
PUT_FILE = "put_file"  # path, mode, offset; body
GET_FILE = "get_file"  # path, offset, length
LIST_FILES = "list_files"  # path
STATS = "stats"

# why a process ended, in EXIT.reason
REASON_EXIT = "exit"
REASON_SIGNAL = "signal"
REASON_TIMEOUT = "timeout"
REASON_CPU = "cpu"
REASON_MEMORY = "memory"
REASON_OUTPUT = "output"
REASON_KILLED = "killed"
REASON_SPAWN = "spawn"  # the program could not be started; message says why

REFUSED_SERVER = "server"  # the server of a cell does not run or answer; message says why
REFUSED_FILE = "file"  # ERROR.code: a file could not be put or fetched; message says which and why

_LENGTHS = struct.Struct(">II")


class ProtocolError(Exception):
    """The other end sent bytes that are not this protocol."""


class Frame:
    """One message: ``fields`` is the whole JSON header, ``type`` and ``op`` included."""

    __slots__ = ("body", "fields", "op", "type")

    def __init__(self, kind: str, op: int, fields: dict[str, Any], body: bytes = b"") -> None:
        self.type = kind
        self.op = op
        self.fields = fields
        self.body = body

    def __repr__(self) -> str:
        return f"Frame({self.type!r}, op={self.op}, body={len(self.body)} B)"


def encode(kind: str, op: int = 0, body: bytes = b"", **fields: object) -> bytes:
    """Bytes of one frame. Raises ProtocolError when it would be over the limits."""
    header = _ENCODER.encode({"type": kind, "op": op, **fields}).encode()
    if len(header) > MAX_HEADER:
        raise ProtocolError(f"header of {len(header)} bytes is over {MAX_HEADER}")
    if len(body) > MAX_BODY:
        raise ProtocolError(f"body of {len(body)} bytes is over {MAX_BODY}")
    return _LENGTHS.pack(len(header), len(body)) + header + body


class Decoder:
    """Bytes in, frames out. Holds at most one unfinished frame: MAX_HEADER + MAX_BODY bytes and what was just fed."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that ``data`` completes. Raises ProtocolError at the first malformed one."""
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= _LENGTHS.size:
            header_size, body_size = _LENGTHS.unpack_from(self._buffer, start)
            if not 2 <= header_size <= MAX_HEADER:
                raise ProtocolError(f"header length {header_size} is not between 2 and {MAX_HEADER}")
            if body_size > MAX_BODY:
                raise ProtocolError(f"body length {body_size} is over {MAX_BODY}")
            body_at = start + _LENGTHS.size + header_size
            if len(self._buffer) < body_at + body_size:
                break
            header = bytes(self._buffer[start + _LENGTHS.size : body_at])
            frames.append(_parse(header, bytes(self._buffer[body_at : body_at + body_size])))
            start = body_at + body_size
        if start:
            del self._buffer[:start]
        return frames


def _parse(header: bytes, body: bytes) -> Frame:
    try:
        text = header.decode("utf-8")
        decoded: tuple[Any, int] = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"header is not JSON: {error}") from None
    fields, end = decoded
    if end != len(text):
        raise ProtocolError("header has something after its JSON")
    if not isinstance(fields, dict):
        raise ProtocolError("header is not an object")
    table = cast("dict[str, Any]", fields)
    kind = table.get("type")
    op = table.get("op")
    if not isinstance(kind, str):
        raise ProtocolError("header has no type")
    if not isinstance(op, int) or isinstance(op, bool) or not 0 <= op < 2**53:
        raise ProtocolError("header has no valid op")
    return Frame(kind, op, table, body)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
