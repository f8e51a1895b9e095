"""Firecracker's HTTP API on its unix socket, as data: one line for each endpoint that is used.

Knows nothing of processes or files; who starts Firecracker hands over the path of the socket.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Literal, NotRequired, Self, TypedDict, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from engine.errors import InternalError

_DEADLINE_S = 60.0  # a full snapshot of a large machine to a slow disk is the longest call
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx would load the host's certificates for every VM: 40 ms


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


class SnapshotLoad(TypedDict):
    snapshot_path: str
    mem_backend: MemoryBackend
    resume_vm: bool


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


class FirecrackerApi:
    """A client of one Firecracker process; an async context manager, closed at its end."""

    def __init__(self, socket: str, deadline_s: float = _DEADLINE_S) -> None:
        """``socket`` is a path of at most 107 bytes; each call may take ``deadline_s`` seconds."""
        self._deadline_s = deadline_s
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=socket, verify=_NO_TLS),
            base_url="http://firecracker",
            timeout=deadline_s,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(self, endpoint: Endpoint[_Body], body: _Body) -> None:
        """Have Firecracker do it. Raises FirecrackerRefusalError, FirecrackerLostError."""
        await self._request(endpoint.method, endpoint.path.format_map(body), dict(body))

    async def version(self) -> str:
        """As "1.12.1". Raises FirecrackerRefusalError, FirecrackerLostError."""
        answer = await self._request("GET", "/version", None)
        try:
            return _Version.model_validate_json(answer.content).firecracker_version
        except ValidationError:
            raise InternalError(f"Firecracker told no version: {answer.text[:200]!r}") from None

    async def _request(self, method: str, path: str, body: dict[str, object] | None) -> httpx.Response:
        call = f"{method} {path}"
        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.TimeoutException:
            raise FirecrackerLostError(
                f"Firecracker did not answer {call} within {self._deadline_s:g} s", remedy="Is the disk very slow?"
            ) from None
        except httpx.TransportError as error:
            raise FirecrackerLostError(f"Firecracker was lost at {call}: {error or type(error).__name__}") from error
        if answer.is_success:
            return answer
        raise FirecrackerRefusalError(call, _fault(answer), answer.status_code)


def _fault(answer: httpx.Response) -> str:
    try:
        return _Fault.model_validate_json(answer.content).fault_message
    except ValidationError:
        return f"status {answer.status_code}, {answer.text[:200]!r}"
