"""The agent: one thread, one loop, one connection to the host.

It reads frames, runs at most one program of the user's at a time, and sends what that program writes. Output waits in
the program's pipes while the host does not read, so the agent's memory stays bounded. A host that was lost takes its
program with it; the cell and the interpreter parked in it wait for the next host.
"""

from __future__ import annotations

import json
import math
import os
import select
import socket
import time
from collections.abc import Callable

from guest import cgroup, protocol, resync
from guest.cell import Cell, CellLostError
from guest.channel import Channel
from guest.execution import Execution, Limits, OutputPipe
from guest.fields import RequestError, environment, number, strings, table
from guest.parked import Parked, ParkError
from guest.protocol import Frame
from guest.server import Server, ServerError
from guest.spawn import SpawnError
from guest.static import Any

AGENT_VERSION = "0.1.0"
_BACKLOG = 256 * 1024  # bytes waiting for the host before output is left in its pipes
_WRITE = 64 * 1024
_MAX_PUT = 128 * 1024
_CACHE = 12 * 1024 * 1024  # of the cell's memory, for pages of the image: a run at its limit ends and does not thrash


class Agent:
    """Serves one channel, and through it one host at a time. Each is told ``hello`` first."""

    def __init__(self, channel: Channel, hello: dict[str, Any], memory_max: int) -> None:
        self._channel = channel
        self._hello = hello
        self._memory_max = memory_max
        self._decoder = protocol.Decoder()
        self._out = bytearray()
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._cells = 0
        self._cell: Cell | None = None
        self._parked: Parked | None = None
        self._server: Server | None = None
        self._execution: Execution | None = None
        self._boot_id = ""
        self._group: cgroup.Group | None = None
        self._groups = 0
        self._requests: dict[str, Callable[[Frame], None]] = {
            protocol.HELLO: lambda frame: self._send(protocol.HELLO, frame.op, b"", **self._hello),
            protocol.RESYNC: self._resync,
            protocol.PREPARE: self._prepare,
            protocol.EXEC: self._exec,
            protocol.STDIN: self._stdin,
            protocol.KILL: self._kill,
            protocol.PUT_FILE: self._put_file,
            protocol.GET_FILE: self._get_file,
            protocol.LIST_FILES: self._list_files,
            protocol.STATS: self._stats,
        }

    def serve(self) -> None:
        """Raises ProtocolError when the host sends what is not the protocol."""
        if self._channel.fd >= 0:
            self._meet_host()
        while True:
            ready = self._wait()
            if self._channel.listener in ready and self._channel.accept():
                self._meet_host()
            if self._channel.fd in ready:
                self._write()
                self._read()
            if self._cell and self._cell.fileno() in ready:
                self._take_exits()
            if self._server and self._server.fd in ready:
                self._server.drain()
            if self._execution:
                self._serve_execution(self._execution, ready)
            if self._channel.fd < 0:
                self._forget_host()

    def _wait(self) -> set[int]:
        """Descriptors with something to do, errors and hang-ups included. The poll object is made anew each time:
        descriptors come and go, and a number that is used again must not carry an old registration."""
        poll = select.poll()
        if self._channel.listener >= 0:
            poll.register(self._channel.listener, select.POLLIN)
        if self._channel.fd >= 0:
            poll.register(self._channel.fd, select.POLLIN | (select.POLLOUT if self._out else 0))
        if self._cell:
            poll.register(self._cell.fileno(), select.POLLIN)
        if self._server and self._server.fd >= 0:
            poll.register(self._server.fd, select.POLLIN)
        execution = self._execution
        if execution:
            if len(self._out) < _BACKLOG:
                for pipe in (execution.stdout, execution.stderr):
                    if pipe.fd >= 0:
                        poll.register(pipe.fd, select.POLLIN)
            if execution.stdin and execution.stdin.blocked:
                poll.register(execution.stdin.fd, select.POLLOUT)
        timeout_ms = math.ceil(execution.next_check_s() * 1000) if execution else None
        return {fd for fd, _ in poll.poll(timeout_ms)}

    # --- the channel

    def _send(self, kind: str, op: int, body: bytes = b"", **fields: object) -> None:
        self._out += protocol.encode(kind, op, body, **fields)
        self._write()

    def _write(self) -> None:
        while self._out and (written := self._channel.write(self._out[:_WRITE])):
            del self._out[:written]

    def _read(self) -> None:
        for frame in self._decoder.feed(self._channel.read()):
            self._handle(frame)

    def _meet_host(self) -> None:
        self._forget_host()
        self._send(protocol.HELLO, 0, b"", **self._hello)

    def _forget_host(self) -> None:
        """Nothing of one connection gets into the next; a program that nobody hears any more ends."""
        execution, self._execution = self._execution, None
        if execution:
            execution.kill(protocol.REASON_KILLED)
            execution.release()
        self._decoder = protocol.Decoder()
        self._out.clear()

    def _handle(self, frame: Frame) -> None:
        handler = self._requests.get(frame.type)
        try:
            if handler is None:
                raise RequestError("unknown", f"no request is called {frame.type[:64]!r}")
            handler(frame)
        except RequestError as error:
            self._send(protocol.ERROR, frame.op, code=error.code, message=str(error))
        except CellLostError as error:
            self._drop_cell()
            self._send(protocol.ERROR, frame.op, code="cell", message=str(error))
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._send(protocol.ERROR, frame.op, code="failed", message=f"{frame.type}: {error}"[:1000])

    # --- requests

    def _resync(self, frame: Frame) -> None:
        if frame.body:
            self._boot_id = resync.entropy(frame.body)
            if self._cell:
                self._cell.set_boot_id(self._boot_id)
        identity = frame.fields.get("identity")
        if identity is not None:
            resync.identity(str(identity))
        resync.clock(number(frame.fields, "time_ns"))
        self._send(
            protocol.RESYNCED,
            frame.op,
            time_ns=time.time_ns(),
            entropy=bool(frame.body),
            boot_id=self._boot_id,
            identity=socket.gethostname(),
        )

    def _prepare(self, frame: Frame) -> None:
        if self._execution:
            raise RequestError("busy", "a program is running")
        self._drop_cell()
        cell = self._need_cell()
        limits = self._limits(frame)
        self._group = self._take_group()
        self._group.limit(limits.memory_bytes, limits.pids)
        if frame.fields.get("argv") is not None:
            self._park(cell, strings(frame.fields, "argv"), environment(frame.fields))
        if frame.fields.get("server") is not None:
            self._start_server(cell, table(frame.fields, "server"), environment(frame.fields))
        self._resize(cell, limits)
        self._send(protocol.OK, frame.op, parked=self._parked is not None, serving=self._server is not None)

    def _park(self, cell: Cell, argv: list[str], env: dict[str, str]) -> None:
        try:
            self._parked = Parked(cell, self._cells, argv, env, self._null)
        except SpawnError as error:
            raise RequestError("spawn", str(error)) from None
        except ParkError as error:
            raise RequestError("park", str(error)) from None

    def _start_server(self, cell: Cell, order: dict[str, Any], env: dict[str, str]) -> None:
        """While it starts it may fill the memory with files; what it has laid by then is not the run's."""
        argv, ready = strings(order, "start"), strings(order, "ready")
        within_ms = number(order, "within_ms")
        cell.resize(self._memory_max)
        self._server = Server(cell, self._cells, env, self._null, self._memory_max - _CACHE)
        try:
            self._server.start(argv, ready, within_ms / 1000)
        except ServerError as error:
            self._drop_cell()
            raise RequestError(protocol.REFUSED_SERVER, str(error)[:2000]) from None

    def _resize(self, cell: Cell, limits: Limits) -> None:
        cell.resize(limits.tmpfs_bytes + (self._server.disk_bytes if self._server else 0))

    def _exec(self, frame: Frame) -> None:
        if self._execution:
            raise RequestError("busy", "a program is running already")
        argv = strings(frame.fields, "argv")
        env = environment(frame.fields)
        cwd = str(frame.fields.get("cwd", "/"))
        limits = self._limits(frame)
        self._need_server()
        cell = self._need_cell()
        try:
            self._resize(cell, limits)
        except OSError:
            raise RequestError(protocol.REFUSED_FILE, f"{limits.tmpfs_bytes} bytes hold less than was put") from None
        script = frame.fields.get("script")
        warm = bool(frame.fields.get("warm")) and self._parked is not None
        if self._parked and not warm:
            self._parked.end()
            self._parked = None
        if script is not None and not (warm and len(frame.body) <= _MAX_PUT):
            for offset in range(0, len(frame.body) or 1, protocol.CHUNK):
                self._put(cell, str(script), 0o644, offset, frame.body[offset : offset + protocol.CHUNK])
            script = None
        served_by = self._server.group if self._server else None
        stdin = bool(frame.fields.get("stdin"))
        execution = Execution(frame.op, limits, self._take_group(), served_by, stdin=stdin)
        self._execution = execution
        mode = "spawn"
        if warm and self._parked:
            mode = "warm"
            source = frame.body if script is not None else None
            message = {"argv": argv[1:], "env": env, "cwd": cwd, "rlimits": limits.rlimits(), "source": source}
            self._parked.become(execution, self._null, message)
            self._parked = None
        else:
            procs = execution.group.open_procs()
            try:
                execution.pid = cell.spawn(argv, env, cwd, execution.child_fds(self._null), procs, limits.rlimits())
            except SpawnError as error:
                self._execution = None
                execution.release()
                self._send(protocol.STARTED, frame.op, mode=mode)
                code = 126 if error.errno == 13 else 127
                self._send(
                    protocol.EXIT, frame.op, code=code, signal=None, reason=protocol.REASON_SPAWN, message=str(error)
                )
                return
            finally:
                os.close(procs)
        execution.close_child_ends()
        self._send(protocol.STARTED, frame.op, mode=mode)

    def _need_server(self) -> None:
        """A server that ended before any program ran can't be that program's doing."""
        server = self._server
        if server is None or server.used:
            return
        self._take_exits()
        if server.status is not None:
            raise RequestError(protocol.REFUSED_SERVER, server.obituary())
        if self._server is None:
            raise RequestError(protocol.REFUSED_SERVER, "it ended with its cell")
        server.used = True

    def _stdin(self, frame: Frame) -> None:
        execution = self._execution
        if execution and execution.op == frame.op and execution.stdin:
            execution.stdin.feed(frame.body, eof=bool(frame.fields.get("eof")))

    def _kill(self, frame: Frame) -> None:
        if self._execution:
            self._execution.kill(protocol.REASON_KILLED)
        self._send(protocol.OK, frame.op)

    def _put_file(self, frame: Frame) -> None:
        if len(frame.body) > _MAX_PUT:
            raise RequestError("size", f"a piece of a file has at most {_MAX_PUT} bytes")
        path = str(frame.fields["path"])
        self._put(self._need_cell(), path, number(frame.fields, "mode"), number(frame.fields, "offset"), frame.body)
        self._send(protocol.OK, frame.op)

    def _put(self, cell: Cell, path: str, mode: int, offset: int, data: bytes) -> None:
        try:
            cell.put_file(path, mode, offset, data)
        except OSError as error:
            raise RequestError(protocol.REFUSED_FILE, f"{path[:200]!r}: {error.strerror}") from None

    def _get_file(self, frame: Frame) -> None:
        length = min(number(frame.fields, "length"), _MAX_PUT)
        path = str(frame.fields["path"])
        try:
            data = self._need_cell().get_file(path, number(frame.fields, "offset"), length)
        except OSError as error:
            raise RequestError(protocol.REFUSED_FILE, f"{path[:200]!r}: {error.strerror}") from None
        self._send(protocol.GET_FILE, frame.op, data)

    def _list_files(self, frame: Frame) -> None:
        body = json.dumps(self._need_cell().list_files()).encode()
        self._send(protocol.LIST_FILES, frame.op, body[: protocol.MAX_BODY])

    def _stats(self, frame: Frame) -> None:
        with open("/proc/meminfo") as file:
            meminfo = dict(line.split(":", 1) for line in file)
        execution = self._execution
        self._send(
            protocol.STATS,
            frame.op,
            memory_total_bytes=int(meminfo["MemTotal"].split()[0]) * 1024,
            memory_available_bytes=int(meminfo["MemAvailable"].split()[0]) * 1024,
            run_memory_bytes=execution.group.memory_now() if execution else 0,
            run_cpu_ms=execution.cpu_us() / 1000 if execution else 0,
        )

    # --- the program

    def _serve_execution(self, execution: Execution, ready: set[int]) -> None:
        for pipe in (execution.stdout, execution.stderr):
            if pipe.fd in ready:
                self._pump_output(execution, pipe)
        if execution.stdin and execution.stdin.fd in ready:
            execution.stdin.pump()
        execution.check()
        if execution.finished and len(self._out) < _BACKLOG:
            self._execution = None
            self._send(protocol.EXIT, execution.op, b"", **execution.result())
            execution.release()

    def _pump_output(self, execution: Execution, pipe: OutputPipe) -> None:
        data = pipe.read()
        if data is None:
            pipe.close()
            return
        if data:
            execution.first_output = execution.first_output or time.monotonic()
            self._send(pipe.kind, execution.op, data)
        if pipe.truncated:
            pipe.close()
            execution.kill(protocol.REASON_OUTPUT)

    def _take_exits(self) -> None:
        cell, execution = self._cell, self._execution
        if cell is None:
            return
        try:
            while (gone := cell.next_exit()) is not None:
                if execution and gone["pid"] == execution.pid and execution.status is None:
                    execution.exited(gone["status"])
                if self._server and gone["pid"] == self._server.pid:
                    self._server.status = gone["status"]
                if self._parked and gone["pid"] == self._parked.pid:
                    self._parked.control.close()
                    self._parked = None
        except CellLostError as error:
            self._drop_cell()
            if execution:
                self._execution = None
                execution.release()
                self._send(protocol.ERROR, execution.op, code="cell", message=str(error))

    # --- the cell

    def _limits(self, frame: Frame) -> Limits:
        limits = Limits(frame.fields.get("limits", {}))
        limits.memory_bytes = min(limits.memory_bytes, self._memory_max - _CACHE)
        return limits

    def _take_group(self) -> cgroup.Group:
        """The control group that ``prepare`` made, or a new one."""
        group, self._group = self._group, None
        self._groups += group is None
        return group or cgroup.Group(f"run-{self._groups}")

    def _need_cell(self) -> Cell:
        if self._cell is None:
            self._cells += 1
            self._cell = Cell(self._cells)
            self._cell.set_boot_id(self._boot_id)
        return self._cell

    def _drop_cell(self) -> None:
        cell, parked, server = self._cell, self._parked, self._server
        self._cell = self._parked = self._server = None
        if parked:
            parked.control.close()
        if cell:
            cell.destroy()
        for group in (parked.group if parked else None, self._group):
            if group:
                group.remove()
        if server:
            server.release()
        self._group = None
