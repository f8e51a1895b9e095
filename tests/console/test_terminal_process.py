"""The console as a process in a real terminal: quick to paint, silent when idle, and gone when its terminal is gone."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.modes import MODES

ROOT = Path(__file__).parents[2]
_A_LOT_S = 0.1  # of 0.3 s; ticks of 0.2 s take less, opening an area takes more
F3 = b"\x1bOR"  # to the next area, also from a field


class TerminalProcess:
    """``python -m tests.console.still`` on a pty of its own; ``close`` may be called twice."""

    def __init__(self, size: tuple[int, int], arguments: list[str]) -> None:
        columns, rows = size
        self.started = time.monotonic()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            environ = os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
            os.execve(sys.executable, [sys.executable, "-m", "tests.console.still", *arguments], environ)  # noqa: S606
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = b""
        self.cpu_s = 0.0

    def read(self, seconds: float) -> bytes:
        """What comes until nothing came for so long."""
        got = b""
        while select.select([self.terminal], [], [], seconds)[0]:
            try:
                piece = os.read(self.terminal, 65536)
            except OSError:
                break
            got += piece
        self.seen += got
        return got

    def until(self, sign: bytes, deadline_s: float = 20) -> float:
        """Seconds from the start until the text was painted."""
        while sign not in self.seen:
            assert time.monotonic() - self.started < deadline_s, self.seen
            self.read(0.01)
        return time.monotonic() - self.started

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def rest(self, deadline_s: float = 20) -> None:
        """Read until it hardly computes any more: what it was asked for is shown."""
        end = time.monotonic() + deadline_s
        used = _A_LOT_S
        while used >= _A_LOT_S:
            assert time.monotonic() < end, "it goes on computing"
            before = self._cpu_so_far_s()
            self.read(0.3)
            used = self._cpu_so_far_s() - before

    def hang_up(self) -> None:
        self.cpu_s = self._cpu_so_far_s()
        os.close(self.terminal)
        self.terminal = -1

    def _cpu_so_far_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()  # proc(5)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def lost_for_good(self) -> tuple[int, float]:
        """Hang up; the exit code, and the seconds of CPU from there to the end, which comes within three seconds."""
        self.hang_up()
        before = self.cpu_s
        return self.exit_code(3), self.cpu_s - before

    def exit_code(self, deadline_s: float) -> int:
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                self.cpu_s = usage.ru_utime + usage.ru_stime
                return os.waitstatus_to_exitcode(status)
            if self.terminal >= 0:
                self.read(0.02)
            else:
                time.sleep(0.02)
        raise AssertionError(f"still alive after {deadline_s} s")

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Where the process notes that its engine was closed."""
    return tmp_path / "closed"


@pytest.fixture(params=[(80, 24), (200, 50)], ids=["80x24", "200x50"])
def process(request: pytest.FixtureRequest, mark: Path) -> Iterator[TerminalProcess]:
    running = TerminalProcess(request.param, [str(mark)])
    try:
        yield running
    finally:
        running.close()


def test_it_paints_soon_after_it_was_started(process: TerminalProcess) -> None:
    assert process.until(b"Overview") < 3.0  # a bound for a loaded machine; a quiet one takes half a second


def test_it_sends_nothing_while_nothing_changes(process: TerminalProcess) -> None:
    process.until(b"egraded")
    process.read(1.0)  # sparklines have their first points
    process.type(b"2")
    process.until(b"vm-0a31")
    process.read(1.0)
    assert process.read(5.0) == b""


def test_no_area_sends_anything_while_nothing_changes(mark: Path) -> None:
    process = TerminalProcess((120, 36), [str(mark), "quick"])
    try:
        process.until(b"egraded")
        for mode in MODES:
            process.read(1.0)
            process.rest()
            assert process.read(1.0) == b"", mode.name  # several ticks
            process.type(F3)
    finally:
        process.close()


def test_quitting_gives_the_terminal_back_and_closes_the_engine(process: TerminalProcess, mark: Path) -> None:
    process.until(b"egraded")
    process.type(b"q")
    assert process.exit_code(10) == 0
    assert mark.read_text() == "closed"
    assert b"\x1b[?1049l" in process.seen  # the screen as it was before
    assert b"\x1b[?25h" in process.seen  # and its cursor


def test_term_signal_closes_the_engine(process: TerminalProcess, mark: Path) -> None:
    process.until(b"egraded")
    os.kill(process.pid, signal.SIGTERM)
    assert process.exit_code(10) == 128 + signal.SIGTERM
    assert mark.read_text() == "closed"


@pytest.mark.parametrize("habit", ["", "deaf"], ids=["with SIGHUP", "without SIGHUP"])
def test_a_lost_terminal_ends_it_within_three_seconds_at_no_cpu_and_closes_the_engine(habit: str, mark: Path) -> None:
    process = TerminalProcess((80, 24), [str(mark), habit])
    try:
        process.until(b"egraded")
        process.read(1.0)  # what a start does is done
        exit_code, cpu_s = process.lost_for_good()
        assert exit_code == 128 + signal.SIGHUP
        assert cpu_s < 0.3
        assert mark.read_text() == "closed"
    finally:
        process.close()


def test_a_stalled_engine_does_not_keep_it_after_a_lost_terminal(mark: Path) -> None:
    process = TerminalProcess((80, 24), [str(mark), "stuck"])
    try:
        process.until(b"egraded")
        process.read(1.0)
        exit_code, cpu_s = process.lost_for_good()
        assert exit_code == 128 + signal.SIGHUP
        assert cpu_s < 0.3
    finally:
        process.close()


def test_without_a_terminal_it_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.console.still", os.devnull],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
