"""What a restore does to vsock in the guest, done to the agent: connections die without a word, the listener stays.

On a restore Firecracker tells the driver that the transport was reset, and the driver ends every connected socket
(virtio_vsock_reset_sock). It does the same where the device is taken from it, which needs no Firecracker.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from engine.guestlink.hybrid_vsock import connect_once_listening
from engine.vmm.base import VmSpec
from guest import protocol
from tests.integration.guestlink.programs import empty_cell, python, run
from tests.integration.guestlink.vsock_machine import DEADLINE_S, Programs, running
from tests.lab import FOLDER, PREFIX

pytestmark = pytest.mark.vm

IDENTITY = "reset"
# A process beside the agent that takes the device from its driver once the guest has that name, waits until the agent
# has let go of its connection, and gives the device back.
RESET = """
DRIVER = "/sys/bus/virtio/drivers/vmw_vsock_virtio_transport"

def agents_sockets():
    return sum(os.readlink("/proc/1/fd/" + fd).startswith("socket:") for fd in os.listdir("/proc/1/fd"))

def reset():
    while os.uname().nodename != "reset":
        time.sleep(0.005)
    before = agents_sockets()
    (device,) = [name for name in os.listdir(DRIVER) if name.startswith("virtio")]
    with open(DRIVER + "/unbind", "w") as file:
        file.write(device)
    while agents_sockets() == before:
        time.sleep(0.005)
    with open(DRIVER + "/bind", "w") as file:
        file.write(device)
    print("The transport was reset", flush=True)

def before(agent):
    if os.fork() == 0:
        os.close(agent._channel.listener)
        try:
            reset()
        finally:
            os._exit(0)
"""


async def test_a_reset_of_the_transport_ends_the_connection_and_nothing_else(
    programs: Programs, vsock_spec: VmSpec
) -> None:
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as home:
        async with running(Path(home), programs, vsock_spec, before=RESET) as machine:
            guest = await machine.dial()
            await guest.hello(DEADLINE_S)
            assert await empty_cell(guest, parked=["python3"])
            await guest.close()

            lost = await connect_once_listening(machine.vsock, protocol.AGENT_PORT, DEADLINE_S)
            await lost.write(protocol.encode(protocol.RESYNC, 1, time_ns=time.time_ns(), identity=IDENTITY))
            await machine.console_says("The transport was reset")

            again = await machine.dial()
            await again.hello(DEADLINE_S)
            outcome = await run(again, python("print('still parked')", warm=True))
            await again.close()
            await lost.close()
            assert (outcome.mode, outcome.stdout) == ("warm", b"still parked\n")
