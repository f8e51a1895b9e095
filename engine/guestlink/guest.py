"""A guest, as the engine talks to it: one request at a time over one byte stream, every answer checked and bounded."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from engine.errors import GuestProtocolError, InputError, InternalError, NotReadyError, OutcomeUnknownError, VmdeckError
from engine.guestlink.messages import Exit, Hello, Message, Ok, Output, Refused, Resynced, Started, Stats, parse
from engine.printable import printable
from engine.vmm.base import ByteStream
from guest import protocol

_M = TypeVar("_M", bound=Message)
_ENTROPY_BYTES = 64
_CLOCK_TOLERANCE_NS = 50_000_000
_CLOCK_TRIES = 20
_SERVER_GRACE_S = 10.0  # for the agent to tell that a server was too late


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Limits as the agent takes them."""

    wall_ms: int
    cpu_ms: int
    memory_bytes: int
    pids: int
    stdout_bytes: int
    stderr_bytes: int
    file_bytes: int
    tmpfs_bytes: int

    def fields(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file to lay into the work folder."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Program:
    """What the agent shall start. ``warm`` lets it use a parked interpreter; argv[0] is then that interpreter.
    ``script`` is laid into the work folder with it: at most MAX_BODY bytes."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    limits: WireLimits
    warm: bool = False
    stdin: bytes | None = None
    script: GuestFile | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A server for programs of these limits: ``start`` runs on in the foreground, ``ready`` exits with 0 as soon as it
    answers, which must be after ``within_s`` at the latest."""

    start: Sequence[str]
    ready: Sequence[str]
    env: Mapping[str, str]
    limits: WireLimits
    within_s: float


class GuestSilentError(InternalError):
    """The agent can't be asked now, or does not answer in time. The run goes on."""


class Guest:
    """Owns the stream. Every method raises GuestProtocolError for what the wire does not allow, and
    OutcomeUnknownError when the stream ends or the deadline passes."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._decoder = protocol.Decoder()
        self._ready: deque[Message] = deque()
        self._op = 0
        self._outbox: list[bytes] = []
        self._running = False
        self._asked: tuple[int, asyncio.Future[Stats | Refused]] | None = None

    async def close(self) -> None:
        await self._stream.close()

    async def hello(self, deadline_s: float) -> Hello:
        """The agent's first words, where the VM's agent greets."""
        hello = await self._expect(Hello, 0, deadline_s)
        if hello.version != protocol.PROTOCOL_VERSION:
            raise GuestProtocolError(
                f"The agent speaks version {hello.version}, the engine {protocol.PROTOCOL_VERSION}",
                remedy="Build the initramfs anew: vmdeck setup",
            )
        return hello

    async def resync(self, identity: str, deadline_s: float) -> Resynced:
        """Fresh entropy, time and identity, confirmed. Raises InternalError when the guest did not take them."""
        op = self._next_op()
        sent_ns = time.time_ns()
        self._queue(protocol.RESYNC, op, os.urandom(_ENTROPY_BYTES), time_ns=sent_ns, identity=identity)
        answer = await self._expect(Resynced, op, deadline_s)
        if not answer.entropy or answer.identity != identity:
            raise InternalError("The restored guest did not confirm its new entropy and identity", vm=identity)
        await self._set_clock(deadline_s)
        return answer

    async def _set_clock(self, deadline_s: float) -> None:
        """Until the guest's time is proven to be the host's. The first answer after a restore proves little: its way
        took as long as the machine needed to wake. Raises InternalError."""
        for _ in range(_CLOCK_TRIES):
            op, sent_ns = self._next_op(), time.time_ns()
            self._queue(protocol.RESYNC, op, time_ns=sent_ns)
            guest_ns = (await self._expect(Resynced, op, deadline_s)).time_ns
            # It said so between sent and now; so its clock is right to what lies between, whenever that was.
            if time.time_ns() - guest_ns <= _CLOCK_TOLERANCE_NS and guest_ns - sent_ns <= _CLOCK_TOLERANCE_NS:
                return
        raise InternalError(
            "The guest's clock could not be set: its answers took too long, or told another time",
            remedy="Let fewer runs go on at once: VMDECK_MAX_RUNNING",
        )

    async def prepare(
        self, argv: Sequence[str] | None, env: Mapping[str, str], limits: WireLimits, deadline_s: float
    ) -> bool:
        """An empty cell, with an interpreter parked in it where ``argv`` is given: whether one is.

        A run whose limits are these needs no time to set them.
        """
        op = self._next_op()
        self._queue(protocol.PREPARE, op, argv=list(argv) if argv else None, env=dict(env), limits=limits.fields())
        return (await self._expect(Ok, op, deadline_s)).parked

    async def serve(self, service: Service) -> None:
        """An empty cell in which the server runs and answers. Raises NotReadyError, with the reason, where not."""
        op = self._next_op()
        server = {
            "start": list(service.start),
            "ready": list(service.ready),
            "within_ms": round(service.within_s * 1000),
        }
        self._queue(protocol.PREPARE, op, env=dict(service.env), limits=service.limits.fields(), server=server)
        if not (await self._expect(Ok, op, service.within_s + _SERVER_GRACE_S)).serving:
            raise InternalError("The guest started no server", remedy="Build the initramfs anew: vmdeck setup")

    async def stats(self, deadline_s: float) -> Stats:
        op = self._next_op()
        self._queue(protocol.STATS, op)
        return await self._expect(Stats, op, deadline_s)

    async def stats_meanwhile(self, deadline_s: float) -> Stats:
        """While a program runs, which notices nothing of it: whoever follows its output takes the answer too.

        Raises GuestSilentError where no program runs or the answer is not there in time. One that is late is still
        awaited by the program's follower, and nothing is asked until it has come.
        """
        if not self._running:
            raise GuestSilentError("no program runs in it now")
        if self._asked is None:
            op = self._next_op()
            answer: asyncio.Future[Stats | Refused] = asyncio.get_running_loop().create_future()
            self._asked = op, answer
            frame = protocol.encode(protocol.STATS, op)
        else:
            answer, frame = self._asked[1], b""
        try:
            async with asyncio.timeout(deadline_s):
                if frame:
                    await self._stream.write(frame)
                said = await asyncio.shield(answer)
        except (TimeoutError, ConnectionError):
            raise GuestSilentError(f"it did not answer within {deadline_s:g} s") from None
        if isinstance(said, Refused):
            raise GuestSilentError(f"it refused: {said.message[:200]}")
        return said

    async def execute(
        self, program: Program, files: Sequence[GuestFile], *, start_deadline_s: float, grace_s: float
    ) -> AsyncGenerator[Started | Output | Exit]:
        """Lay the files, start the program; its output as it comes; Exit last.

        All of it is sent at once, so that it costs one round trip. The host's own deadline is the program's wall limit
        plus ``grace_s``: it holds whatever the guest says or does not say.
        """
        file_ops = [self._queue_file(file, piece) for file in files for piece in _pieces(file)]
        op = self._next_op()
        self._queue_exec(op, program)
        await self._flush(asyncio.get_running_loop().time() + start_deadline_s)
        writer = asyncio.create_task(self._write_stdin(op, program.stdin))
        try:
            self._running = True
            for file_op in file_ops:
                await self._expect(Ok, file_op, start_deadline_s)
            yield await self._expect(Started, op, start_deadline_s)
            async for event in self._follow(op, program.limits, grace_s):
                yield event
        finally:
            self._running = False
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _follow(self, op: int, limits: WireLimits, grace_s: float) -> AsyncGenerator[Output | Exit]:
        loop = asyncio.get_running_loop()
        left = {protocol.STDOUT: limits.stdout_bytes, protocol.STDERR: limits.stderr_bytes}
        over = loop.time() + limits.wall_ms / 1000 + grace_s
        while True:
            message = await self._next(over)
            if message.op != op or not isinstance(message, Output | Exit):
                raise _unexpected(message)
            if isinstance(message, Output):
                left[message.stream] -= len(message.data)
                if left[message.stream] < 0:
                    raise GuestProtocolError(f"The guest sent more {message.stream} than the limit it was given")
            handed_out = loop.time()
            yield message
            over += loop.time() - handed_out  # a caller that is slow to take output does not make the guest late
            if isinstance(message, Exit):
                return

    def _queue(self, kind: str, op: int, body: bytes = b"", **fields: object) -> None:
        self._outbox.append(protocol.encode(kind, op, body, **fields))

    def _queue_file(self, file: GuestFile, piece: tuple[int, bytes]) -> int:
        op = self._next_op()
        self._queue(protocol.PUT_FILE, op, piece[1], path=file.path, mode=file.mode, offset=piece[0])
        return op

    def _queue_exec(self, op: int, program: Program) -> None:
        try:
            self._queue(
                protocol.EXEC,
                op,
                program.script.content if program.script else b"",
                script=program.script.path if program.script else None,
                argv=list(program.argv),
                env=dict(program.env),
                cwd=program.cwd,
                warm=program.warm,
                stdin=program.stdin is not None,
                limits=program.limits.fields(),
            )
        except protocol.ProtocolError as error:
            raise InputError(
                f"Arguments and environment are too large together: {error}",
                remedy="Pass large data as stdin or a file",
            ) from None

    async def _write_stdin(self, op: int, stdin: bytes | None) -> None:
        """Errors of the stream are told by the reader, which sees the same end."""
        if stdin is None:
            return
        for start in range(0, len(stdin), protocol.CHUNK):
            await self._stream.write(protocol.encode(protocol.STDIN, op, stdin[start : start + protocol.CHUNK]))
        await self._stream.write(protocol.encode(protocol.STDIN, op, eof=True))

    async def _flush(self, deadline: float) -> None:
        data, self._outbox = b"".join(self._outbox), []
        if not data:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._stream.write(data)
        except TimeoutError:
            raise _late() from None
        except ConnectionError:
            raise _lost() from None

    async def _expect(self, kind: type[_M], op: int, deadline_s: float) -> _M:
        """The next message, which must be of that kind and request; a refusal is raised as InternalError."""
        deadline = asyncio.get_running_loop().time() + deadline_s
        await self._flush(deadline)
        message = await self._next(deadline)
        if isinstance(message, Refused) and message.op == op:
            raise _refusal(message)
        if message.op != op or not isinstance(message, kind):
            raise _unexpected(message)
        return message

    async def _next(self, deadline: float) -> Message:
        """Next message, by the loop's time ``deadline``. It ends a flood too, which never makes the read wait."""
        while not self._ready:
            if asyncio.get_running_loop().time() >= deadline:
                raise _late()
            try:
                async with asyncio.timeout_at(deadline):
                    data = await self._stream.read()
            except TimeoutError:
                raise _late() from None
            if not data:
                raise _lost()
            try:
                messages = [parse(frame) for frame in self._decoder.feed(data)]
                self._ready.extend(message for message in messages if not self._answers(message))
            except protocol.ProtocolError as error:
                raise GuestProtocolError(f"The guest broke the protocol: {error}") from None
        return self._ready.popleft()

    def _answers(self, message: Message) -> bool:
        """Whether it is for who asked meanwhile."""
        if self._asked is None or message.op != self._asked[0]:
            return False
        (_, answer), self._asked = self._asked, None
        if not isinstance(message, Stats | Refused):
            raise _unexpected(message)
        if not answer.done():
            answer.set_result(message)
        return True

    def _next_op(self) -> int:
        self._op += 1
        return self._op


def _pieces(file: GuestFile) -> list[tuple[int, bytes]]:
    """Offsets and bodies; one empty body for an empty file."""
    size = max(1, len(file.content))
    return [(at, file.content[at : at + protocol.CHUNK]) for at in range(0, size, protocol.CHUNK)]


def _late() -> OutcomeUnknownError:
    return OutcomeUnknownError(
        "The guest did not answer in time and was ended", remedy="Run it again; if it stays, see vmdeck doctor"
    )


def _lost() -> OutcomeUnknownError:
    return OutcomeUnknownError("The connection to the guest ended")


def _refusal(message: Refused) -> VmdeckError:
    if message.code == protocol.REFUSED_SERVER:
        return NotReadyError(
            f"The language's server does not serve: {printable(message.message)}",
            remedy="Give the microVM more memory, or build the image anew: vmdeck rootfs build",
        )
    if message.code == protocol.REFUSED_FILE:
        return InputError(
            f"The work folder can't take the files: {message.message}", remedy="Send less, or raise limits.tmpfs_mib"
        )
    return InternalError(f"The guest refused: {message.message}", code=message.code)


def _unexpected(message: Message) -> GuestProtocolError:
    return GuestProtocolError(f"The guest sent {type(message).__name__} for request {message.op} out of turn")
