"""One running program of the user's, as the agent sees it: its streams, limits and end."""

from __future__ import annotations

import os
import signal
import time
from collections import deque

from guest import protocol
from guest.cgroup import Group
from guest.spawn import GROUP_ID, USER_ID
from guest.static import Any

_MIB = 1024 * 1024
DRAIN_S = 2.0  # for pipes to report their end once every process in the group was killed
_CPU_CHECK_S = 0.05
_CPUS = os.cpu_count() or 1


class Limits:
    """Limits of one execution; what the host leaves out is generous but never endless."""

    def __init__(self, given: dict[str, Any]) -> None:

        def number(name: str, default: int) -> int:
            value = given.get(name, default)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"limit {name} is not a number")
            return value

        self.wall_ms = number("wall_ms", 10_000)
        self.cpu_ms = number("cpu_ms", 10_000)
        self.memory_bytes = number("memory_bytes", 1 << 40)
        self.pids = number("pids", 128)
        self.stdout_bytes = number("stdout_bytes", _MIB)
        self.stderr_bytes = number("stderr_bytes", _MIB)
        self.file_bytes = number("file_bytes", 64 * _MIB)
        self.tmpfs_bytes = number("tmpfs_bytes", 64 * _MIB)

    def rlimits(self) -> dict[str, int]:
        """By the names of spawn.RLIMITS; CPU a little above ours, which is exact and covers all processes."""
        return {"fsize": self.file_bytes, "core": 0, "cpu": self.cpu_ms // 1000 + 2}


class OutputPipe:
    """The reading end of a program's stdout or stderr, counted against its limit."""

    def __init__(self, kind: str, limit: int) -> None:
        self.kind = kind
        self.left = limit
        self.truncated = False
        self.fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.fchown(self.write_fd, USER_ID, GROUP_ID)  # so that it can open /dev/stdout and /dev/stderr
        os.set_blocking(self.fd, False)

    def read(self) -> bytes | None:
        """Bytes within the limit, b"" when none are there now, None at the end (or past the limit)."""
        try:
            data = os.read(self.fd, protocol.CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            return None
        if len(data) > self.left:
            self.truncated = True
            data = data[: self.left]
        self.left -= len(data)
        return data

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close_write(self) -> None:
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1


class InputPipe:
    """The writing end of a program's stdin. What it does not read is dropped with it."""

    def __init__(self) -> None:
        self.read_fd, self.fd = os.pipe2(os.O_CLOEXEC)
        os.fchown(self.read_fd, USER_ID, GROUP_ID)  # so that it can open /dev/stdin
        os.set_blocking(self.fd, False)
        self._waiting: deque[bytes] = deque()
        self._eof = False

    def feed(self, data: bytes, *, eof: bool) -> None:
        if data:
            self._waiting.append(data)
        self._eof = self._eof or eof
        self.pump()

    @property
    def blocked(self) -> bool:
        return self.fd >= 0 and bool(self._waiting)

    def pump(self) -> None:
        """Write what fits now; close after the last byte once eof was said."""
        while self.fd >= 0 and self._waiting:
            data = self._waiting[0]
            try:
                written = os.write(self.fd, data)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.close()
                return
            if written == len(data):
                self._waiting.popleft()
            else:
                self._waiting[0] = data[written:]
        if self._eof:
            self.close()

    def close_read(self) -> None:
        if self.read_fd >= 0:
            os.close(self.read_fd)
            self.read_fd = -1

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._waiting.clear()


class Execution:
    """From exec to exit. ``finished`` once the program has ended, the rest was killed and the pipes have ended."""

    def __init__(self, op: int, limits: Limits, group: Group, served_by: Group | None, *, stdin: bool) -> None:
        self.op = op
        self.limits = limits
        self.group = group
        self._served_by = served_by
        self._served_before_us = served_by.cpu_us() if served_by else 0
        group.limit(limits.memory_bytes, limits.pids)
        self.stdout = OutputPipe(protocol.STDOUT, limits.stdout_bytes)
        self.stderr = OutputPipe(protocol.STDERR, limits.stderr_bytes)
        self.stdin = InputPipe() if stdin else None
        self.pid = 0
        self.brought_bytes = 0
        """Memory of a parked interpreter: the kernel goes on counting it in the group where it was taken."""
        self.status: int | None = None
        self.reason = ""
        self.began = time.monotonic()
        self._cpu_due = self.began + limits.cpu_ms / 1000 / _CPUS  # it can't have used them all before
        self.first_output: float | None = None
        self.ended: float | None = None
        self._drain_until: float | None = None

    def child_fds(self, null_fd: int) -> list[int]:
        return [self.stdin.read_fd if self.stdin else null_fd, self.stdout.write_fd, self.stderr.write_fd]

    def close_child_ends(self) -> None:
        self.stdout.close_write()
        self.stderr.close_write()
        if self.stdin:
            self.stdin.close_read()

    def kill(self, reason: str) -> None:
        """End every process of it. The first reason stands; the end is not held up by the dying of many processes."""
        if not self.reason:
            self.reason = reason
            self._drain_until = time.monotonic() + DRAIN_S
        self.group.kill()

    def exited(self, status: int) -> None:
        """The program itself has ended: whatever it left running ends now."""
        self.status = status
        self.ended = time.monotonic()
        self._drain_until = self._drain_until or self.ended + DRAIN_S
        if self.group.populated():
            self.group.kill()

    def next_check_s(self) -> float:
        """Seconds until ``check`` has something to do."""
        now = time.monotonic()
        if self._drain_until is not None:
            return max(0.0, self._drain_until - now)
        return max(0.0, min(self.began + self.limits.wall_ms / 1000, self._cpu_due) - now)

    def cpu_us(self) -> int:
        """Of its processes, and of the server that works for them, since they began."""
        served_us = self._served_by.cpu_us() - self._served_before_us if self._served_by else 0
        return self.group.cpu_us() + served_us

    def _out_of_memory(self) -> bool:
        return self.group.out_of_memory() or bool(self._served_by and self._served_by.out_of_memory())

    def check(self) -> None:
        """Enforce the limits that are a matter of time."""
        now = time.monotonic()
        if self._drain_until is not None:
            if now >= self._drain_until:
                self.stdout.close()
                self.stderr.close()
                if self.status is None:
                    self.exited(signal.SIGKILL)
            return
        if now - self.began >= self.limits.wall_ms / 1000:
            self.kill(protocol.REASON_TIMEOUT)
        elif now >= self._cpu_due:
            left_s = (self.limits.cpu_ms - self.cpu_us() / 1000) / 1000
            if left_s <= 0:
                self.kill(protocol.REASON_CPU)
            else:
                self._cpu_due = now + max(_CPU_CHECK_S, left_s / _CPUS)

    @property
    def finished(self) -> bool:
        return self.status is not None and self.stdout.fd < 0 and self.stderr.fd < 0

    def result(self) -> dict[str, Any]:
        """The fields of EXIT."""
        status = self.status or 0
        signalled = os.WIFSIGNALED(status)
        reason = self.reason
        if not reason and self._out_of_memory():
            reason = protocol.REASON_MEMORY
        if not reason:
            reason = protocol.REASON_SIGNAL if signalled else protocol.REASON_EXIT
        ended = self.ended or time.monotonic()
        peak = self.group.memory_peak()
        return {
            "code": None if signalled else os.WEXITSTATUS(status),
            "signal": os.WTERMSIG(status) if signalled else None,
            "reason": reason,
            "timings": {
                "exec_ms": round((ended - self.began) * 1000, 3),
                "first_output_ms": round((self.first_output - self.began) * 1000, 3) if self.first_output else None,
            },
            "cpu_ms": self.cpu_us() / 1000,
            "peak_memory_bytes": peak and self.brought_bytes + peak,  # 0 stays "not counted"
            "truncated": {"stdout": self.stdout.truncated, "stderr": self.stderr.truncated},
        }

    def release(self) -> bool:
        """Give back pipes and control group; False while a dying process still holds the group."""
        self.close_child_ends()
        self.stdout.close()
        self.stderr.close()
        if self.stdin:
            self.stdin.close()
        try:
            self.group.remove()
        except OSError:
            return False
        return True
