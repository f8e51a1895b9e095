"""What is asked of Firecracker, as the bytes of its API, on a server that answers from a script."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.errors import InternalError, NotReadyError
from engine.vmm import firecracker_api as api
from engine.vmm import firecracker_machine as machine
from engine.vmm.base import VmSpec
from engine.vmm.firecracker_api import FirecrackerApi, FirecrackerLostError, FirecrackerRefusalError

Call = tuple[str, str, object]
DONE = b"HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"
BASE = {
    "snapshot_path": "state",
    "mem_backend": {"backend_type": "File", "backend_path": "memory"},
    "resume_vm": True,
}
NEWER = {"vsock_override": {"uds_path": "v.sock"}, "clock_realtime": False}


class Server:
    """Answers every request alike, and then hangs up if so told."""

    def __init__(self, answer: bytes, *, hangs_up: bool = False) -> None:
        self.answer = answer
        self.hangs_up = hangs_up
        self.calls: list[Call] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                lines = head.lower().splitlines()
                length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length")), 0)
                method, path, _ = head.split(" ", 2)
                self.calls.append((method, path, json.loads(await reader.readexactly(length) or b"null")))
                writer.write(self.answer)
                if self.hangs_up:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def talking_to(server: Server, folder: Path) -> AsyncIterator[FirecrackerApi]:
    listening = await asyncio.start_unix_server(server.serve, folder / "s")
    async with listening, FirecrackerApi(str(folder / "s"), deadline_s=10) as client:
        yield client


async def test_an_api_with_too_many_callers_is_called_until_it_accepts(tmp_path: Path) -> None:
    server, path = Server(DONE), tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as other:
        listening.bind(str(path))
        listening.listen(0)
        other.connect(str(path))
        async with FirecrackerApi(str(path), deadline_s=30) as client:
            calling = asyncio.create_task(client.send(api.vm_state, api.VmState(state="Paused")))
            await asyncio.sleep(0)
            async with await asyncio.start_unix_server(server.serve, sock=listening):
                await calling
    assert server.calls == [("PATCH", "/vm", {"state": "Paused"})]


def test_a_kernel_that_firecracker_does_not_load_on_this_processor_is_refused(tmp_path: Path) -> None:
    kernel, image = tmp_path / "vmlinux", tmp_path / "Image"
    kernel.write_bytes(b"\x7fELF\x02\x01")
    image.write_bytes(b"MZ\0\0")
    with pytest.raises(NotReadyError, match="vmlinux on aarch64: it is an ELF file"):
        machine.refuse_unfit_kernel(kernel, "aarch64")
    machine.refuse_unfit_kernel(image, "aarch64")
    machine.refuse_unfit_kernel(kernel, "x86_64")


@pytest.mark.parametrize(
    ("version", "body"),
    [("1.12.1", BASE), ("1.15.0", BASE), ("1.16.1", {**BASE, **NEWER}), ("1.17.0", {**BASE, **NEWER})],
)
async def test_a_load_says_what_the_release_knows(tmp_path: Path, version: str, body: dict[str, object]) -> None:
    server = Server(DONE)
    async with talking_to(server, tmp_path) as client:
        await machine.load(client, version)
    assert server.calls == [("PUT", "/snapshot/load", body)]


async def test_a_machine_has_its_entropy_device_and_no_other_than_it_needs(tmp_path: Path) -> None:
    """Devices are frozen with the snapshot: no balloon, no network, no huge pages, and entropy from the start."""
    server = Server(DONE)
    spec = VmSpec(256, 2, Path("/k"), Path("/k"), Path("/i"), "vmdeck=1", (Path("/d"),))
    async with talking_to(server, tmp_path) as client:
        await machine.boot(client, spec, "T2")
    assert [path for _, path, _ in server.calls] == [
        *("/machine-config", "/boot-source", "/drives/drive0", "/vsock", "/entropy", "/actions")
    ]
    bodies = {path: body for _, path, body in server.calls}
    assert bodies["/machine-config"] == {"vcpu_count": 2, "mem_size_mib": 256, "smt": False, "cpu_template": "T2"}
    assert bodies["/drives/drive0"] == {
        "drive_id": "drive0",
        "path_on_host": "drive0",
        "is_root_device": False,
        "is_read_only": True,
    }
    assert bodies["/vsock"] == {"guest_cid": 3, "uds_path": "v.sock"}
    assert server.connections == 1


async def test_a_saved_machine_stays_paused(tmp_path: Path) -> None:
    """A bare pause and resume leaves the vsock of releases up to 1.16.1 dead, so nothing here resumes by PATCH."""
    server = Server(DONE)
    async with talking_to(server, tmp_path) as client:
        await machine.save(client)
    assert [(method, path) for method, path, _ in server.calls] == [("PATCH", "/vm"), ("PUT", "/snapshot/create")]
    assert server.calls[0][2] == {"state": "Paused"}


REFUSALS = {
    "its own reason": (b'{"fault_message": "no"}', "no"),
    "no JSON": (b"<html>", "status 400, b'<html>'"),
    "nothing": (b"", "status 400, b''"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_is_told_whatever_its_form(tmp_path: Path, case: str) -> None:
    content, reason = REFUSALS[case]
    server = Server(b"HTTP/1.1 400 \r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))
    async with talking_to(server, tmp_path) as client:
        with pytest.raises(FirecrackerRefusalError) as caught:
            await client.send(api.entropy, api.Nothing())
    assert caught.value.fault_message == reason


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 204"], ids=["none", "no HTTP", "half"])
async def test_an_answer_that_is_none_is_a_loss(tmp_path: Path, answer: bytes) -> None:
    server = Server(answer, hangs_up=True)
    async with talking_to(server, tmp_path) as client:
        with pytest.raises(FirecrackerLostError, match="lost at PUT /entropy"):
            await client.send(api.entropy, api.Nothing())


async def test_an_answer_without_end_is_not_read_without_end(tmp_path: Path) -> None:
    size = 3 * 1024 * 1024
    server = Server(b"HTTP/1.1 200 \r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    async with talking_to(server, tmp_path) as client:
        with pytest.raises(InternalError, match="more than 1048576 bytes"):
            await client.version()


async def test_a_connection_that_firecracker_closes_is_opened_anew_for_the_next_call(tmp_path: Path) -> None:
    server = Server(b"HTTP/1.1 204 \r\nConnection: close\r\n\r\n", hangs_up=True)
    async with talking_to(server, tmp_path) as client:
        for _ in range(2):
            await client.send(api.entropy, api.Nothing())
    assert (len(server.calls), server.connections) == (2, 2)
