"""A VMM process as the engine's child: it is heard, waited for, and never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from engine.host.process import ProcessId
from engine.vmm.child import Child
from engine.vmm.tail import Tail

DEADLINE_S = 10
PARENT = """
import asyncio, sys
from pathlib import Path
from engine.vmm.child import Child
from engine.vmm.tail import Tail

async def main():
    child = Child(["sleep", "1000"], Path("/"), stdout=Tail(10, 10), stderr=Tail(10, 10))
    child.follow()
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def tail() -> Tail:
    return Tail(kept=1000, read_max=1000)


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_it_ends_with_a_parent_that_was_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert parent.stdout is not None
    child = ProcessId.of(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await asyncio.wait_for(child.ended(), DEADLINE_S)


async def test_how_it_ended_comes_with_all_it_said(tmp_path: Path) -> None:
    out, err = tail(), tail()
    child = Child(["sh", "-c", "pwd; echo trouble >&2; exit 3"], tmp_path, stdout=out, stderr=err)
    child.follow()
    assert await asyncio.wait_for(child.ended(), DEADLINE_S) == "status 3"
    assert (out.text(), err.text()) == (f"{tmp_path}\n", "trouble\n")
    assert not child.running
    await child.end()


async def test_one_that_was_never_followed_is_ended_and_leaves_nothing_open(tmp_path: Path) -> None:
    await asyncio.sleep(0)
    before = open_files()
    child = Child(["sleep", "1000"], tmp_path, stdout=tail(), stderr=tail())
    process = ProcessId.of(child.pid)
    await child.end()
    assert not process.alive()
    assert open_files() == before


async def test_what_it_says_is_heard_while_it_runs(tmp_path: Path) -> None:
    out = tail()
    child = Child(["sh", "-c", "echo here; exec sleep 1000"], tmp_path, stdout=out, stderr=tail())
    child.follow()
    async with asyncio.timeout(DEADLINE_S):
        while out.text() != "here\n":
            await asyncio.sleep(0.001)
    assert child.running
    await child.end()
    assert await child.ended() == f"signal {signal.SIGKILL.value}"


def test_a_program_that_can_not_start_leaves_nothing_open(tmp_path: Path) -> None:
    before = open_files()
    with pytest.raises(FileNotFoundError):
        Child([str(tmp_path / "nowhere")], tmp_path, stdout=tail(), stderr=tail())
    assert open_files() == before
