"""Clones of one snapshot share every byte of memory; none of them may share what must be its own."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine.engine import Engine
from engine.models import BootMode, RunRequest
from tests.running import run_python

pytestmark = [pytest.mark.vm, pytest.mark.asyncio(loop_scope="module")]

# The hash seed of the waiting interpreter itself is not here: CPython draws it once, when it starts, so all runs of a
# snapshot have the same. That of every interpreter it starts is new.
_OWN = r"""
import json, os, random, secrets, socket, ssl, subprocess, sys, tempfile, uuid
fresh = "import random, uuid; print(hash('a'), random.random(), uuid.uuid4())"
hashed, drawn, made = subprocess.run([sys.executable, "-c", fresh], capture_output=True, text=True).stdout.split()
child_read, child_write = os.pipe()
if os.fork() == 0:
    os.write(child_write, random.random().hex().encode())
    os._exit(0)
print(json.dumps({
    "os.urandom": os.urandom(16).hex(),
    "random.random": random.random(),
    "random.Random": random.Random().random(),
    "random of a fork": os.read(child_read, 100).decode(),
    "secrets": secrets.token_hex(16),
    "OpenSSL": ssl.RAND_bytes(16).hex(),
    "/dev/random": open("/dev/random", "rb").read(16).hex(),
    "the kernel's uuid": open("/proc/sys/kernel/random/uuid").read(),
    "addresses of a fresh process": subprocess.run(["cat", "/proc/self/maps"], capture_output=True).stdout.decode(),
    "uuid4": str(uuid.uuid4()),
    "uuid1's node": uuid.uuid1().node,
    "uuid1's clock sequence and time": str(uuid.uuid1())[:23],
    "uuid.getnode": uuid.getnode(),
    "hash seed of a fresh interpreter": hashed,
    "random of a fresh interpreter": drawn,
    "uuid4 of a fresh interpreter": made,
    "boot_id": open("/proc/sys/kernel/random/boot_id").read(),
    "host name": socket.gethostname(),
    "tempfile": tempfile.mktemp(),
}))
"""

# Says the time again and again: the quickest word bounds what the way to the host adds to all of them.
_CLOCK = """
import time
for _ in range(40):
    print(time.time(), flush=True)
    time.sleep(0.02)
"""


async def _facts(engine: Engine) -> dict[str, Any]:
    result = await run_python(engine, _OWN, boot="snapshot", timeout=30)
    assert result.status == "success", result.stderr
    return json.loads(result.stdout)


async def test_two_clones_have_nothing_random_in_common(shared_engine: Engine) -> None:
    first, second = await asyncio.gather(_facts(shared_engine), _facts(shared_engine))
    assert {name for name in first if first[name] == second[name]} == set()


async def test_a_clone_has_the_name_of_its_vm_and_a_boot_of_its_own(shared_engine: Engine) -> None:
    code = "import socket; print(socket.gethostname(), open('/proc/sys/kernel/random/boot_id').read().strip())"
    result = await run_python(shared_engine, code, boot="snapshot")
    host_name, boot_id = result.stdout.split()
    assert host_name == result.vm.id
    assert boot_id != Path("/proc/sys/kernel/random/boot_id").read_text().strip()


async def _clock_error_s(engine: Engine, boot: BootMode, code: str = _CLOCK) -> float:
    """How far the guest's clock is ahead, less what the quickest word took to arrive."""
    request = RunRequest(language="python", code=code, timeout=30, boot=boot)
    errors: list[float] = []
    async for event in engine.stream(request):
        if event.kind == "stdout" and event.text.count("\n") == 1:  # one word, which arrived just now
            errors.append(float(event.text) - time.time())
    assert len(errors) > 10, "the guest's words came in heaps, which tells no time"
    return max(errors)


async def test_a_clone_knows_the_time(shared_engine: Engine) -> None:
    assert abs(await _clock_error_s(shared_engine, "snapshot")) < 0.05


async def test_clones_that_start_together_know_the_time(shared_engine: Engine) -> None:
    errors = await asyncio.gather(*(_clock_error_s(shared_engine, "snapshot") for _ in range(2)))
    assert max(abs(error) for error in errors) < 0.05


@pytest.mark.parametrize("boot", ["snapshot", "cold"])
async def test_a_guest_counts_time_by_a_counter_and_not_by_ticks(shared_engine: Engine, boot: BootMode) -> None:
    """Ticks get lost while the host is busy, and the clock with them."""
    code = "import time; print(time.clock_getres(time.CLOCK_MONOTONIC))"
    result = await run_python(shared_engine, code, boot=boot, timeout=30)
    assert float(result.stdout) < 1e-6


async def test_a_clone_still_knows_the_time_after_some_seconds_of_work(shared_engine: Engine) -> None:
    code = """
import time
began = time.monotonic()
while time.monotonic() - began < 4:
    pass
for _ in range(40):
    print(time.time(), flush=True)
    time.sleep(0.02)
"""
    assert abs(await _clock_error_s(shared_engine, "snapshot", code)) < 0.05
