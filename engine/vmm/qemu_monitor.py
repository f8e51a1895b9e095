"""QEMU's monitor (QMP, JSON lines) over one end of a socket pair, for a whole life of a VM.

Nothing is read but while a command is under way, and then at most so much: a QEMU that was taken over by its guest may
write what it likes and gains nothing but a full socket. Events lie in that socket until the next command; each tells
its own time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Annotated, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from engine.errors import InternalError

_READ = 64 * 1024
_LINE_MAX = 256 * 1024  # unfinished, over however many commands; the longest answer that is asked for has some KiB
_COMMAND_READ_MAX = 4 * 1024 * 1024  # for one command: events before its answer, and those waited for after it
_EVENTS_KEPT = 1000
_QUOTED = 400

Message = Mapping[str, object]
_MESSAGE = TypeAdapter(dict[str, object])  # as JSON, in which pydantic takes no text that can't be written out again


class MonitorError(InternalError):
    """QEMU refused a command, or said what is no QMP."""


class QemuMonitor:
    """One command at a time, inside a ``session``."""

    def __init__(self, sock: socket.socket, heard: Callable[[str, float], None]) -> None:
        """Takes over the non-blocking ``sock``. ``heard`` is told of events: name, and Unix time in seconds."""
        self._socket = sock
        self._heard = heard
        self._turn = asyncio.Lock()
        self._buffer = bytearray()
        self._searched = 0  # of the buffer: no line ends in these bytes
        self._unread = 0
        self._events: deque[tuple[str, Message]] = deque(maxlen=_EVENTS_KEPT)
        self._commands = 0
        self._lost = ""

    async def close(self) -> None:
        """Idempotent."""
        self._lost = self._lost or "the VM has ended"
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # whoever waits for an answer sees the end
        async with self._turn:
            self._socket.close()

    @contextlib.asynccontextmanager
    async def session(self, deadline_s: float) -> AsyncGenerator[QemuMonitor]:
        """The monitor to oneself. Raises TimeoutError after that long in all, MonitorError."""
        async with asyncio.timeout(deadline_s), self._turn:
            if self._lost:
                raise MonitorError(f"QEMU's monitor is gone: {self._lost}")
            if not self._commands:
                await self._greet()
            yield self

    async def execute(self, command: str, arguments: Message | None = None, *, hand_over: int | None = None) -> object:
        """Its answer. ``hand_over`` is a descriptor that goes with the command. Raises MonitorError."""
        self._commands += 1
        self._unread = _COMMAND_READ_MAX
        self._events.clear()
        sent = {"execute": command, "arguments": arguments or {}, "id": self._commands}
        await self._send(json.dumps(sent).encode() + b"\n", hand_over)
        while True:
            message = await self._message()
            # An answer with another id is to a command that was given up.
            if not self._is_event(message) and message.get("id") == self._commands:
                break
        if "error" in message:
            raise MonitorError(f"{command}: {_description(message['error'])}")
        return message.get("return")

    async def event(self, name: str) -> Message:
        """The data of the next event of that name since the last command was given. Raises MonitorError."""
        while True:
            while self._events:
                heard, data = self._events.popleft()
                if heard == name:
                    return data
            self._is_event(await self._message())

    async def _greet(self) -> None:
        self._unread = _COMMAND_READ_MAX
        if "QMP" not in await self._message():
            raise self._is_lost("it did not greet")
        await self.execute("qmp_capabilities")

    async def _send(self, line: bytes, hand_over: int | None) -> None:
        try:
            if hand_over is None:
                await asyncio.get_running_loop().sock_sendall(self._socket, line)
            else:
                socket.send_fds(self._socket, [line], [hand_over])
        except BaseException as error:
            lost = self._is_lost(f"a command was sent by half: {error or type(error).__name__}")
            if isinstance(error, OSError):
                raise lost from error
            raise

    async def _message(self) -> Message:
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            data = await self._read()
            self._buffer += data
            self._unread -= len(data)
            if not data:
                raise self._is_lost("QEMU closed it")
            if self._unread < 0 or self._searched > _LINE_MAX:
                raise self._is_lost("it said more than any answer has")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        try:
            return _MESSAGE.validate_json(line)
        except ValidationError:
            raise self._is_lost("it said what is no QMP") from None

    async def _read(self) -> bytes:
        """Whoever is cancelled in it has taken nothing: what half an answer was would spoil the next."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # one that never stops talking holds up neither others nor its own deadline
        while True:
            try:
                return self._socket.recv(_READ)
            except BlockingIOError:
                readable = asyncio.Event()
                loop.add_reader(self._socket, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self._socket)
            except OSError as error:
                raise self._is_lost(str(error)) from error

    def _is_event(self, message: Message) -> bool:
        """Whether it is one; then it is told, and kept for who waits for it."""
        name, data = message.get("event"), message.get("data")
        if not isinstance(name, str):
            return False
        self._heard(name, _time_of(message))
        self._events.append((name, cast("Message", data) if isinstance(data, dict) else {}))
        return True

    def _is_lost(self, why: str) -> MonitorError:
        self._lost = self._lost or why
        self._buffer.clear()
        self._searched = 0
        return MonitorError(f"QEMU's monitor is gone: {self._lost}")


class _Refusal(BaseModel):
    desc: str


class _Timestamp(BaseModel):
    """Unix time; both are -1 where QEMU could not read it."""

    seconds: Annotated[int, Field(ge=0, lt=2**40)]
    microseconds: Annotated[int, Field(ge=0, lt=1_000_000)]


def _description(error: object) -> str:
    try:
        return _Refusal.model_validate(error).desc[:_QUOTED]
    except ValidationError:
        return "it did not say why"


def _time_of(message: Message) -> float:
    try:
        stamp = _Timestamp.model_validate(message.get("timestamp"))
    except ValidationError:
        return time.time()
    return stamp.seconds + stamp.microseconds / 1_000_000
