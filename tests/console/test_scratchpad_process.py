"""The scratchpad's buffers in real consoles that are killed, left, and open beside each other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.test_terminal_process import TerminalProcess

WITHIN_S = 30


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], TerminalProcess]]:
    """Starts consoles that show the scratchpad, and ends them."""
    running: list[TerminalProcess] = []

    def started() -> TerminalProcess:
        process = TerminalProcess((80, 24), [str(tmp_path / f"closed-{len(running)}")])
        running.append(process)
        process.until(b"egraded", WITHIN_S)
        process.type(b"5")
        process.until(b"platform", WITHIN_S)
        process.read(0.3)
        return process

    yield started
    for process in running:
        process.close()


def on_disk(tmp_path: Path, text: str) -> None:
    """Wait until a buffer with this text is kept."""
    folder = tmp_path / "state" / "vmdeck" / "scratch" / "buffers"
    end = time.monotonic() + WITHIN_S
    while not any(text in path.read_text() for path in folder.glob("*.json")):
        assert time.monotonic() < end, f"{text} was not saved"
        time.sleep(0.02)


def test_a_console_that_is_killed_has_its_buffers_again(start: Callable[[], TerminalProcess], tmp_path: Path) -> None:
    first = start()
    first.type(b"kept_whatever_comes")
    first.until(b"kept_whatever_comes", WITHIN_S)
    on_disk(tmp_path, "kept_whatever_comes")
    os.kill(first.pid, signal.SIGKILL)
    assert first.exit_code(10) == -signal.SIGKILL
    second = TerminalProcess((80, 24), [str(tmp_path / "closed")])
    try:
        second.until(b"egraded", WITHIN_S)
        second.type(b"5")
        second.until(b"kept_whatever_comes", WITHIN_S)
    finally:
        second.close()


def test_leaving_saves_what_was_typed_last(start: Callable[[], TerminalProcess], tmp_path: Path) -> None:
    console = start()
    console.type(b"typed_last\x11")  # ctrl+q at once, long before a second has passed
    assert console.exit_code(15) == 0
    on_disk(tmp_path, "typed_last")


def test_two_consoles_at_once_keep_their_buffers_apart(start: Callable[[], TerminalProcess], tmp_path: Path) -> None:
    first = start()
    first.type(b"of_the_first")
    on_disk(tmp_path, "of_the_first")
    second = start()
    assert b"of_the_first" not in second.seen
    second.type(b"of_the_second")
    on_disk(tmp_path, "of_the_second")
    on_disk(tmp_path, "of_the_first")
