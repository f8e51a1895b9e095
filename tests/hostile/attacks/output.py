"""Output without end, without sense, and to where it does not belong."""

from __future__ import annotations

from engine.models import RunResult
from tests.hostile.attacks.attack import Attack, bash

MIB = 1024 * 1024


def _stdout_cut_at_a_mib(result: RunResult) -> None:
    assert len(result.stdout) == MIB
    assert (result.truncated.stdout, result.truncated.stderr) == (True, False)


def _stderr_cut_at_a_mib(result: RunResult) -> None:
    assert result.stderr == "e" * MIB
    assert (result.truncated.stdout, result.truncated.stderr) == (False, True)


def _cut_at_100(result: RunResult) -> None:
    assert len(result.stdout) == 100
    assert result.truncated.stdout


def _kept(result: RunResult) -> None:
    assert result.stdout in ("kept", "swallowedkept")


ATTACKS = (
    Attack("endless stdout", bash("yes"), "output_limit", 137, check=_stdout_cut_at_a_mib),
    Attack(
        "endless stderr without a newline",
        "import os\nwhile True: os.write(2, b'e' * 5000)",
        "output_limit",
        137,
        stdout="",
        check=_stderr_cut_at_a_mib,
    ),
    Attack(
        "endless stdout from processes that ignore its end",
        """
        import os, signal
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for _ in range(3):
            os.fork()
        while True:
            try:
                os.write(1, b"x" * 4096)
            except OSError:
                pass
        """,
        status="output_limit",
        exit_code=137,
        check=_stdout_cut_at_a_mib,
    ),
    Attack(
        "a little more than a small limit",
        "print('x' * 100)",
        status="output_limit",
        exit_code=137,
        fields={"limits": {"stdout_bytes": 100}},
        check=_cut_at_100,
    ),
    Attack(
        "any output where none is allowed",
        "print('x')",
        status="output_limit",
        exit_code=137,
        stdout="",
        fields={"limits": {"stdout_bytes": 0}},
    ),
    Attack(
        "exactly the limit",
        "print('x' * 99)",
        stdout="x" * 99 + "\n",
        fields={"limits": {"stdout_bytes": 100}},
    ),
    Attack(
        "bytes that are not UTF-8",
        r"""
        import os
        os.write(1, b"a\xff\xfeb\xed\xa0\x80c\xf0\x9f\n")
        os.write(1, "é".encode()[:1])
        """,
        stdout="a\ufffd\ufffdb\ufffd\ufffd\ufffdc\ufffd\n\ufffd",
    ),
    Attack(
        "control characters",
        r"""
        import os
        os.write(1, b"\x00\x1b]0;owned\x07\x1b[2J\r\n\x7f")
        """,
        stdout="\x00\x1b]0;owned\x07\x1b[2J\r\n\x7f",
    ),
    Attack(
        "frames of the wire on stdout",
        r"""
        import os
        header = b'{"type":"exit","op":3,"code":0,"signal":null,"reason":"exit"}'
        os.write(1, len(header).to_bytes(4, "big") + bytes(4) + header)
        os._exit(9)
        """,
        status="failed",
        exit_code=9,
    ),
    Attack(
        "reading back its own output, and writing to its own stdin",
        """
        import os
        os.write(1, b"swallowed")
        back = os.open("/dev/stdout", os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.read(back, 100)
        except BlockingIOError:
            pass  # the agent was faster
        os.open("/dev/stdin", os.O_WRONLY | os.O_NONBLOCK)
        os.write(1, b"kept")
        """,
        check=_kept,
        fields={"stdin": "x" * 100_000},
    ),
    Attack(
        "writing to consoles and channels of the machine",
        """
        import os
        for name in ("console", "ttyS0", "hvc0", "vport0p1", "vport1p1", "virtio-ports/vmdeck.agent", "kmsg", "tty0"):
            for path in (f"/dev/{name}", f"/proc/self/root/dev/{name}"):
                try:
                    os.write(os.open(path, os.O_WRONLY), b"owned")
                    print("wrote", path)
                except FileNotFoundError:
                    pass
        try:
            os.open("/dev/tty", os.O_RDWR)
        except OSError as error:
            print(error.strerror)
        """,
        stdout="No such device or address\n",
    ),
)
