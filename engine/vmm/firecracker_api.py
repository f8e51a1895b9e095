"""Firecracker's HTTP API on its unix socket, as data: one line for each endpoint that is used.

Knows nothing of processes or files; who starts Firecracker hands over the path of the socket. The HTTP is h11's, on one
connection: a client of httpx, which is built on h11 too, takes 2 ms of the 15 that a restore has.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Literal, NotRequired, Self, TypedDict, TypeVar

import h11
from pydantic import BaseModel, ValidationError

from engine.errors import InternalError
from engine.guestlink.unix_socket import connected

CALL_DEADLINE_S = 60.0  # a full snapshot of a large machine to a slow disk is the longest call
_ANSWER_MAX = 1024 * 1024
_READ = 64 * 1024


class MachineConfig(TypedDict):
    vcpu_count: int
    mem_size_mib: int
    smt: bool
    cpu_template: NotRequired[str]


class BootSource(TypedDict):
    kernel_image_path: str
    initrd_path: str
    boot_args: str


class Drive(TypedDict):
    drive_id: str
    path_on_host: str
    is_root_device: bool
    is_read_only: bool


class Vsock(TypedDict):
    guest_cid: int
    uds_path: str


class Nothing(TypedDict):
    """An empty body."""


class Action(TypedDict):
    action_type: Literal["InstanceStart", "FlushMetrics"]


class VmState(TypedDict):
    state: Literal["Paused", "Resumed"]


class SnapshotCreate(TypedDict):
    snapshot_type: Literal["Full"]
    snapshot_path: str
    mem_file_path: str


class MemoryBackend(TypedDict):
    backend_type: Literal["File"]
    backend_path: str


class VsockOverride(TypedDict):
    uds_path: str


class SnapshotLoad(TypedDict):
    """Those not required are known to some releases only: engine/host/firecracker_release.py."""

    snapshot_path: str
    mem_backend: MemoryBackend
    resume_vm: bool
    vsock_override: NotRequired[VsockOverride]
    clock_realtime: NotRequired[bool]


_Body = TypeVar("_Body", bound=Mapping[str, object])


@dataclass(frozen=True)  # no slots: Python 3.11 can't build a generic one that is frozen too
class Endpoint(Generic[_Body]):
    """A call with a body of one shape. A name in braces in the path is taken from the body."""

    method: Literal["PUT", "PATCH"]
    path: str


machine_config = Endpoint[MachineConfig]("PUT", "/machine-config")
boot_source = Endpoint[BootSource]("PUT", "/boot-source")
drive = Endpoint[Drive]("PUT", "/drives/{drive_id}")
vsock = Endpoint[Vsock]("PUT", "/vsock")
entropy = Endpoint[Nothing]("PUT", "/entropy")
action = Endpoint[Action]("PUT", "/actions")
vm_state = Endpoint[VmState]("PATCH", "/vm")
create_snapshot = Endpoint[SnapshotCreate]("PUT", "/snapshot/create")
load_snapshot = Endpoint[SnapshotLoad]("PUT", "/snapshot/load")


class FirecrackerRefusalError(InternalError):
    """Firecracker answered no. ``fault_message`` is its own reason."""

    def __init__(self, call: str, fault_message: str, status: int) -> None:
        super().__init__(f"Firecracker refused {call}: {fault_message}", status=status)
        self.fault_message = fault_message


class FirecrackerLostError(InternalError):
    """Firecracker gave no answer: it ended, or hangs. What was asked may or may not have been done."""


class _Fault(BaseModel):
    fault_message: str


class _Version(BaseModel):
    firecracker_version: str


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: bytes


class FirecrackerApi:
    """A client of one Firecracker process; an async context manager, closed at its end. One call at a time."""

    def __init__(self, path: str, deadline_s: float = CALL_DEADLINE_S) -> None:
        """``path`` is the socket's, of at most 107 bytes; each call may take ``deadline_s`` seconds."""
        self._path = path
        self._deadline_s = deadline_s
        self._socket: socket.socket | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()

    async def send(self, endpoint: Endpoint[_Body], body: _Body) -> None:
        """Have Firecracker do it. Raises FirecrackerRefusalError, FirecrackerLostError."""
        await self._request(endpoint.method, endpoint.path.format_map(body), dict(body))

    async def version(self) -> str:
        """As "1.12.1". Raises FirecrackerRefusalError, FirecrackerLostError."""
        answer = await self._request("GET", "/version", None)
        try:
            return _Version.model_validate_json(answer.content).firecracker_version
        except ValidationError:
            raise InternalError(f"Firecracker told no version: {answer.content[:200]!r}") from None

    async def _request(self, method: str, path: str, body: dict[str, object] | None) -> _Answer:
        call = f"{method} {path}"
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._exchange(method, path, b"" if body is None else json.dumps(body).encode())
        except TimeoutError:
            self._hang_up()
            raise FirecrackerLostError(
                f"Firecracker did not answer {call} within {self._deadline_s:g} s", remedy="Is the disk very slow?"
            ) from None
        except (OSError, h11.RemoteProtocolError) as error:
            self._hang_up()
            raise FirecrackerLostError(f"Firecracker was lost at {call}: {error or type(error).__name__}") from error
        except BaseException:
            self._hang_up()  # what comes next on this connection would be the answer to this call
            raise
        if answer.status < 300:
            return answer
        raise FirecrackerRefusalError(call, _fault(answer), answer.status)

    async def _exchange(self, method: str, path: str, body: bytes) -> _Answer:
        """Raises OSError, h11.RemoteProtocolError."""
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self._socket = await connected(self._path)
        headers = [("Host", "firecracker"), ("Accept", "application/json")]
        if body:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        request = h11.Request(method=method, target=path, headers=headers)
        pieces = [self._http.send(event) for event in (request, h11.Data(body), h11.EndOfMessage())]
        await loop.sock_sendall(self._socket, b"".join(filter(None, pieces)))
        answer = await self._answer(self._socket)
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:  # Firecracker wants no more on this connection
            self._hang_up()
        return answer

    async def _answer(self, connected: socket.socket) -> _Answer:
        status, content = 0, bytearray()
        while True:
            match self._http.next_event():
                case h11.NEED_DATA:
                    self._http.receive_data(await asyncio.get_running_loop().sock_recv(connected, _READ))
                case h11.Response(status_code=code):
                    status = code
                case h11.Data(data=data):
                    content += data
                    if len(content) > _ANSWER_MAX:
                        raise h11.RemoteProtocolError(f"an answer of more than {_ANSWER_MAX} bytes")
                case h11.EndOfMessage():
                    return _Answer(status, bytes(content))
                case event:
                    raise h11.RemoteProtocolError(f"{event} in place of an answer")

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._http = h11.Connection(h11.CLIENT)


def _fault(answer: _Answer) -> str:
    try:
        return _Fault.model_validate_json(answer.content).fault_message
    except ValidationError:
        return f"status {answer.status}, {answer.content[:200]!r}"
