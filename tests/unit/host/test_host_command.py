"""A program of the host is never left behind, however its caller ends."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from engine.host import command

PYTHON = (sys.executable, "-I", "-S", "-c")


async def test_output_and_status_are_those_of_the_program() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    result = await command.output([*PYTHON, code], deadline_s=30)
    assert (result.status, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert result.last_words == "err"


async def test_a_signal_is_a_negative_status() -> None:
    result = await command.output([*PYTHON, "import os; os.kill(os.getpid(), 9)"], deadline_s=30)
    assert result.status == -9


async def test_bytes_that_are_not_text_are_replaced() -> None:
    result = await command.output([*PYTHON, r"import os; os.write(1, b'\xff')"], deadline_s=30)
    assert result.stdout == "\N{REPLACEMENT CHARACTER}"


async def test_a_program_without_end_is_killed_at_the_deadline() -> None:
    before = set(psutil.Process().children())
    with pytest.raises(TimeoutError):
        await command.output([*PYTHON, "import signal; signal.pause()"], deadline_s=0.1)
    assert set(psutil.Process().children()) <= before


async def test_cancelling_the_caller_kills_the_program(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = f"import os, signal; open({str(fifo)!r}, 'w').write(str(os.getpid())); signal.pause()"
    task = asyncio.create_task(command.output([*PYTHON, code], deadline_s=60))
    pid = await asyncio.to_thread(fifo.read_text)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pid}").exists()
