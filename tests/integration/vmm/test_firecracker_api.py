"""The API layer on the real Firecracker: what it refuses, in its own words."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from engine.host.firecracker_release import FEATURES, has
from engine.vmm import firecracker_api as api
from engine.vmm.firecracker_api import FirecrackerApi, FirecrackerLostError, FirecrackerRefusalError
from tests.firecracker_release import VERSION
from tests.integration.vmm.lab import Lab

START_S = 10


def accepts(path: Path) -> bool:
    """A socket's file is there before it listens."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@pytest.fixture
def process(lab: Lab) -> Iterator[subprocess.Popen[bytes]]:
    """A Firecracker without a machine; its API is open."""
    with subprocess.Popen(
        [lab.binaries / "firecracker", "--api-sock", "api.sock"], cwd=lab.home, stdout=subprocess.DEVNULL
    ) as process:
        try:
            end = time.monotonic() + START_S
            while not accepts(lab.home / "api.sock"):
                assert time.monotonic() < end
                time.sleep(0.001)
            yield process
        finally:
            process.kill()


@pytest.fixture
async def client(lab: Lab, process: subprocess.Popen[bytes]) -> AsyncIterator[FirecrackerApi]:
    async with FirecrackerApi(str(lab.home / "api.sock"), deadline_s=10) as client:
        yield client


async def test_it_tells_its_version(client: FirecrackerApi) -> None:
    assert await client.version() == VERSION


MACHINE = api.MachineConfig(vcpu_count=1, mem_size_mib=128, smt=False)
REFUSED: dict[str, tuple[Callable[[FirecrackerApi], Awaitable[None]], str]] = {
    "no vcpu": (
        lambda client: client.send(api.machine_config, {**MACHINE, "vcpu_count": 0}),
        "The number of vCPUs must be greater than 0",
    ),
    "no memory": (
        lambda client: client.send(api.machine_config, {**MACHINE, "mem_size_mib": 0}),
        "The memory size (MiB) is either 0",
    ),
    "unknown CPU template": (
        lambda client: client.send(api.machine_config, {**MACHINE, "cpu_template": "Z80"}),
        "unknown variant `Z80`",
    ),
    "no kernel file": (
        lambda client: client.send(
            api.boot_source, api.BootSource(kernel_image_path="nowhere", initrd_path="", boot_args="")
        ),
        "No such file or directory",
    ),
    "no drive file": (
        lambda client: client.send(
            api.drive, api.Drive(drive_id="drive0", path_on_host="nowhere", is_root_device=False, is_read_only=True)
        ),
        "No such file or directory",
    ),
    "a vsock where there is a socket": (
        lambda client: client.send(api.vsock, api.Vsock(guest_cid=3, uds_path="api.sock")),
        "Address in use",
    ),
    "start without a kernel": (
        lambda client: client.send(api.action, api.Action(action_type="InstanceStart")),
        "Cannot start microvm without kernel configuration",
    ),
    "pause before the start": (
        lambda client: client.send(api.vm_state, api.VmState(state="Paused")),
        "not supported before starting the microVM",
    ),
    "save before the start": (
        lambda client: client.send(
            api.create_snapshot, api.SnapshotCreate(snapshot_type="Full", snapshot_path="s", mem_file_path="m")
        ),
        "not supported before starting the microVM",
    ),
    "load what is not there": (
        lambda client: client.send(
            api.load_snapshot,
            api.SnapshotLoad(
                snapshot_path="nowhere",
                mem_backend=api.MemoryBackend(backend_type="File", backend_path="nowhere"),
                resume_vm=True,
            ),
        ),
        "No such file or directory",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refusal_has_firecrackers_own_reason(client: FirecrackerApi, case: str) -> None:
    call, reason = REFUSED[case]
    with pytest.raises(FirecrackerRefusalError) as caught:
        await call(client)
    assert reason in caught.value.fault_message
    assert caught.value.fault_message in caught.value.message
    assert caught.value.context["status"] == 400


@pytest.mark.parametrize("feature", FEATURES)
async def test_a_release_refuses_what_it_does_not_know_yet(client: FirecrackerApi, feature: str) -> None:
    """So a field of a later release must not be sent; and the table would be wrong if this one took it."""
    assert not has(VERSION, feature)
    load = api.SnapshotLoad(
        snapshot_path="state",
        mem_backend=api.MemoryBackend(backend_type="File", backend_path="memory"),
        resume_vm=True,
        vsock_override=api.VsockOverride(uds_path="v.sock"),
        clock_realtime=False,
    )
    only = {name: value for name, value in load.items() if name == feature or name not in FEATURES}
    with pytest.raises(FirecrackerRefusalError, match=f"unknown field `{feature}`"):
        await client.send(api.load_snapshot, cast("api.SnapshotLoad", only))


async def test_a_refusal_does_not_end_the_conversation(client: FirecrackerApi) -> None:
    with pytest.raises(FirecrackerRefusalError):
        await client.send(api.machine_config, {**MACHINE, "vcpu_count": 0})
    await client.send(api.machine_config, MACHINE)


async def test_a_death_is_told_from_a_refusal(client: FirecrackerApi, process: subprocess.Popen[bytes]) -> None:
    await client.version()
    process.kill()
    process.wait()
    with pytest.raises(FirecrackerLostError, match="Firecracker was lost at PUT /entropy"):
        await client.send(api.entropy, api.Nothing())


async def test_a_hang_ends_at_the_deadline(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    process.send_signal(19)  # SIGSTOP: the kernel still accepts connections for it
    async with FirecrackerApi(str(lab.home / "api.sock"), deadline_s=0.2) as client:
        with pytest.raises(FirecrackerLostError, match=r"did not answer GET /version within 0\.2 s"):
            await client.version()


async def test_without_a_socket_there_is_nobody(tmp_path: Path) -> None:
    async with FirecrackerApi(str(tmp_path / "api.sock")) as client:
        with pytest.raises(FirecrackerLostError):
            await client.version()
