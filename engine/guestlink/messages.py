"""What a guest may say, typed and bounded. Anything else it sends is a protocol error: a guest is never trusted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import GuestProtocolError
from guest import protocol
from guest.protocol import Frame

_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Text = Annotated[str, Field(max_length=4096)]
_Milliseconds = Annotated[float, Field(ge=0, lt=1e12, allow_inf_nan=False)]


class Message(BaseModel):
    # strict: a guest's "1" is not 1. Fields of newer agents are ignored.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")
    op: _Count


class Hello(Message):
    version: int
    agent: _Text
    kernel: _Text
    memory_max_bytes: _Count
    boot_ms: dict[str, _Milliseconds] = Field(max_length=16)


class Resynced(Message):
    time_ns: _Count | Annotated[int, Field(ge=0, lt=2**63)]
    entropy: bool
    boot_id: _Text
    identity: _Text


class Started(Message):
    mode: Literal["warm", "spawn"]


class Output(Message):
    stream: Literal["stdout", "stderr"]
    data: bytes


class ExitTimings(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")
    exec_ms: _Milliseconds = 0.0
    first_output_ms: _Milliseconds | None = None


class ExitTruncated(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")
    stdout: bool = False
    stderr: bool = False


class Exit(Message):
    code: Annotated[int, Field(ge=0, le=255)] | None
    signal: Annotated[int, Field(ge=1, le=64)] | None
    reason: Literal["exit", "signal", "timeout", "cpu", "memory", "output", "killed", "spawn"]
    message: _Text = ""
    timings: ExitTimings = ExitTimings()
    cpu_ms: _Milliseconds = 0.0
    peak_memory_bytes: _Count = 0
    truncated: ExitTruncated = ExitTruncated()


class Ok(Message):
    parked: bool = False
    serving: bool = False


class Refused(Message):
    code: _Text
    message: _Text


class Stats(Message):
    memory_total_bytes: _Count
    memory_available_bytes: _Count
    run_memory_bytes: _Count
    run_cpu_ms: _Milliseconds


class Bytes(Message):
    data: bytes


_TYPES: dict[str, type[Message]] = {
    protocol.HELLO: Hello,
    protocol.RESYNCED: Resynced,
    protocol.STARTED: Started,
    protocol.EXIT: Exit,
    protocol.OK: Ok,
    protocol.ERROR: Refused,
    protocol.STATS: Stats,
}
_WITH_BODY = {protocol.GET_FILE, protocol.LIST_FILES}
_STREAMS = {protocol.STDOUT, protocol.STDERR}


def parse(frame: Frame) -> Message:
    """Raises GuestProtocolError."""
    if frame.type in _STREAMS:
        if not frame.body:
            raise GuestProtocolError(f"The guest sent an empty piece of {frame.type}")
        return Output.model_construct(op=frame.op, stream=frame.type, data=frame.body)
    if frame.type in _WITH_BODY:
        return Bytes.model_construct(op=frame.op, data=frame.body)
    model = _TYPES.get(frame.type)
    if model is None:
        raise GuestProtocolError(f"The guest sent a message of unknown type {frame.type[:64]!r}")
    try:
        return model.model_validate(frame.fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        raise GuestProtocolError(f"The guest sent an invalid {frame.type[:64]!r}: {where}: {first['msg']}") from None
