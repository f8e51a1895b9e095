"""A program on a terminal of its own: what it paints, when, over a link as fast or as far away as a test asks.

The far end is read by a thread, so that a test that does something else does not slow the program's output down.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pyte

_PIECE = 4096
_LOOK_AGAIN_S = 0.001
_IDLE_CPU_S = 0.01  # one tick of the kernel's clock, which a program at rest may use too


@dataclass(frozen=True, slots=True)
class Link:
    """What lies between program and terminal: seconds each way, and bytes per second towards the terminal."""

    delay_s: float = 0
    bytes_s: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Output that arrived at the terminal, and when by the monotonic clock."""

    at: float
    data: bytes


class TerminalProgram:
    """Starts ``command`` on a pty. ``screen`` is what a person would see, as of the last ``look``."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (80, 24),
        environ: Mapping[str, str] | None = None,
        link: Link = Link(),
    ) -> None:
        self.started = time.monotonic()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], list(command), {**os.environ, **(environ or {})})  # noqa: S606
        self.resize(size)
        self.screen = pyte.Screen(*size)
        self._parser = pyte.ByteStream(self.screen)
        self._link = link
        self._arriving: deque[Piece] = deque()
        self._ended = threading.Event()
        self.received = 0
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the far end

    def _read(self) -> None:
        budget_from = time.monotonic()
        while not self._ended.is_set():
            if not select.select([self._terminal], [], [], 0.1)[0]:
                budget_from = max(budget_from, time.monotonic() - 0.1)
                continue
            try:
                data = os.read(self._terminal, _PIECE if self._link.bytes_s is None else 512)
            except OSError:  # the program has gone
                return
            if not data:
                return
            if self._link.bytes_s is not None:
                budget_from = max(budget_from, time.monotonic() - 0.05) + len(data) / self._link.bytes_s
                time.sleep(max(0.0, budget_from - time.monotonic()))  # the link is what is slow here
            self._arriving.append(Piece(time.monotonic() + self._link.delay_s, data))

    def look(self) -> list[Piece]:
        """Take what has arrived by now into ``screen``."""
        pieces: list[Piece] = []
        while self._arriving and self._arriving[0].at <= time.monotonic():
            piece = self._arriving.popleft()
            self._parser.feed(piece.data)
            self.received += len(piece.data)
            pieces.append(piece)
        return pieces

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def until(self, condition: Callable[[], object], deadline_s: float = 20, what: str = "") -> float:
        """Seconds until ``condition`` was true of what had arrived. Raises AssertionError with the screen's text."""
        began = time.monotonic()
        while True:
            self.look()
            if condition():
                return time.monotonic() - began
            assert time.monotonic() - began < deadline_s, f"never came true: {what or condition}\n{self.text}"
            time.sleep(_LOOK_AGAIN_S)

    def sees(self, text: str, deadline_s: float = 20) -> float:
        return self.until(lambda: text in self.text, deadline_s, f"{text!r} on the screen")

    def watch(self, seconds: float, each: Callable[[], None] = lambda: None, every_s: float = 0.05) -> list[Piece]:
        """What arrives in ``seconds``; ``each`` is called again and again meanwhile."""
        end = time.monotonic() + seconds
        pieces: list[Piece] = []
        while time.monotonic() < end:
            pieces += self.look()
            each()
            time.sleep(every_s)
        return pieces + self.look()

    def rest(self, seconds: float = 0.15, deadline_s: float = 30) -> list[Piece]:
        """Watch until the program has sent nothing and computed nothing for so long; all that came."""
        end = time.monotonic() + deadline_s
        pieces: list[Piece] = []
        while self.pid:
            before = self.cpu_s
            came = self.watch(seconds, every_s=0.01)
            pieces += came
            if not came and self.cpu_s - before <= _IDLE_CPU_S:
                return pieces
            assert time.monotonic() < end, f"never at rest\n{self.text}"
        return self.watch(seconds)

    # --- what a person does

    def type(self, keys: bytes | str) -> None:
        data = keys.encode() if isinstance(keys, str) else keys
        if self._link.delay_s:
            threading.Timer(self._link.delay_s, os.write, (self._terminal, data)).start()
        else:
            os.write(self._terminal, data)

    def resize(self, size: tuple[int, int]) -> None:
        columns, rows = size
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "screen"):
            self.screen.resize(rows, columns)

    # --- the process

    @property
    def cpu_s(self) -> float:
        """User and system time of the program so far; proc(5)."""
        with open(f"/proc/{self.pid}/stat") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_bytes(self) -> int:
        with open(f"/proc/{self.pid}/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def exit_code(self, deadline_s: float) -> int:
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            self.look()
            time.sleep(0.01)
        raise AssertionError(f"still alive after {deadline_s} s\n{self.text}")

    def close(self) -> None:
        """End the program, if it has not ended, and take the terminal away. Idempotent."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        if not self._ended.is_set():
            self._ended.set()
            self._reader.join()
            os.close(self._terminal)
