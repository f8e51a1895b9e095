"""A process identity names one process, whatever the kernel does with its number."""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.host.process import ProcessId, usage


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for a signal, with a name that would confuse a careless reader of its stat file."""
    code = "import signal; open('/proc/self/comm', 'w').write('a) Z 1 (b'); print('up', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def reused(process: ProcessId) -> ProcessId:
    """An earlier process that had the same number."""
    return ProcessId(process.pid, process.start_ticks - 1)


def test_an_identity_survives_being_written_down() -> None:
    own = ProcessId.of(os.getpid())
    assert ProcessId.parse(str(own)) == own


@pytest.mark.parametrize("text", ["", "1", "a b", "1 2 3", "-1 5", "0 5"])
def test_what_is_not_an_identity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        ProcessId.parse(text)


def test_a_number_without_process_has_no_identity(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(ProcessLookupError):
        ProcessId.of(sleeper.pid)


def test_a_running_process_is_alive_and_its_predecessor_is_not(sleeper: subprocess.Popen[bytes]) -> None:
    process = ProcessId.of(sleeper.pid)
    assert process.alive()
    assert not reused(process).alive()


async def test_a_zombie_has_ended(sleeper: subprocess.Popen[bytes]) -> None:
    process = ProcessId.of(sleeper.pid)
    assert process.kill(signal.SIGKILL)
    await asyncio.wait_for(process.ended(), 10)
    assert not process.alive()
    assert sleeper.poll() == -signal.SIGKILL


def test_a_signal_never_reaches_a_process_that_got_the_number_later(sleeper: subprocess.Popen[bytes]) -> None:
    process = ProcessId.of(sleeper.pid)
    assert not reused(process).kill(signal.SIGKILL)
    assert process.alive()


def test_killing_an_ended_process_says_so(sleeper: subprocess.Popen[bytes]) -> None:
    process = ProcessId.of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert not process.kill()


async def test_the_end_of_an_ended_process_is_not_waited_for(sleeper: subprocess.Popen[bytes]) -> None:
    await asyncio.wait_for(reused(ProcessId.of(sleeper.pid)).ended(), 10)


async def test_giving_up_waiting_for_an_end_leaves_no_file_open(sleeper: subprocess.Popen[bytes]) -> None:
    process = ProcessId.of(sleeper.pid)
    before = open_files()
    task = asyncio.create_task(process.ended())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_files() == before


def test_usage_counts_memory_of_the_process_alone_as_private() -> None:
    own = ProcessId.of(os.getpid())
    before = own.usage()
    # A mapping of its own: memory that this process once freed to itself would be there already.
    with mmap.mmap(-1, 32 * 1024 * 1024, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as ballast:
        ballast.write(b"x" * len(ballast))
        size = len(ballast)
        after = own.usage()
    assert before is not None
    assert after is not None
    assert after.private_bytes - before.private_bytes > size * 0.9
    assert after.cpu_s >= before.cpu_s > 0


def test_usage_of_an_ended_process_is_none(sleeper: subprocess.Popen[bytes]) -> None:
    process = ProcessId.of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert process.usage() is None
    assert usage(sleeper.pid) is None
