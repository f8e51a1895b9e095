"""Outliving the end, or ending what is not one's own."""

from __future__ import annotations

from engine.models import RunResult
from tests.hostile.attacks.attack import Attack, bash


def _ended_with_its_main(result: RunResult) -> None:
    assert result.exec_time_ms < 5_000, "a process that its main left behind held the run open"


_DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, signal.NSIG):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            os.write(1, b".")
            time.sleep(0.2)
    os._exit(0)
os.wait()
"""

ATTACKS = (
    Attack(
        "daemon that keeps stdout open after its main has ended",
        _DAEMON + "os.write(1, b'main')\nos._exit(5)\n",
        status="failed",
        exit_code=5,
        timeout_s=30,
        check=_ended_with_its_main,
    ),
    Attack(
        "daemon that keeps stdout open past the timeout",
        _DAEMON + "while True: pass\n",
        status="timeout",
        exit_code=124,
        timeout_s=2,
    ),
    Attack(
        "daemon with stdout in flight to nobody",
        """
        import os, socket
        left, right = socket.socketpair()
        for _ in range(8):
            socket.send_fds(left, [b"x"], [1, 2, left.fileno(), right.fileno()])
        print("sent", flush=True)
        os._exit(0)
        """,
        stdout="sent\n",
        timeout_s=30,
        check=_ended_with_its_main,
    ),
    Attack(
        "kill -9 -1",
        """
        import os, time
        child = os.fork()
        if child == 0:
            time.sleep(60)
        os.kill(-1, 9)
        print(os.waitpid(child, 0)[1], "still here")
        """,
        stdout="9 still here\n",
    ),
    Attack("kill -9 -1 from bash", bash("sleep 60 & kill -9 -1; wait $!; echo $?"), stdout="137\n"),
    Attack(
        "a child kills its main",
        """
        import os, time
        if os.fork() == 0:
            os.kill(os.getppid(), 9)
            os._exit(0)
        time.sleep(60)
        """,
        status="failed",
        exit_code=137,
    ),
    Attack(
        "signals to process 1 of the cell",
        """
        import os, signal
        for number in (9, 15, 19, 11, 17, 0):
            try:
                os.kill(1, number)
                print("sent", number)
            except PermissionError:
                pass
        try:
            signal.pidfd_send_signal(os.pidfd_open(1), 9)
        except OSError as error:
            print(error.strerror)
        """,
        stdout="Operation not permitted\n",
    ),
    Attack("stopping itself", "import os, signal\nos.kill(0, signal.SIGSTOP)", "timeout", 124, timeout_s=1.5),
    Attack(
        "ignoring every signal",
        """
        import signal
        for number in range(1, signal.NSIG):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            pass
        """,
        status="timeout",
        exit_code=124,
        timeout_s=1.5,
    ),
    Attack(
        "closing its descriptors and going on",
        "import os\nos.closerange(0, 256)\nwhile True: pass",
        "timeout",
        124,
        timeout_s=1.5,
    ),
    Attack("closing its descriptors and ending", "import os\nos.closerange(0, 256)\nos._exit(3)", "failed", 3),
    Attack("claiming to have timed out", "import os; os._exit(124)", "failed", 124),
    Attack("claiming to have been out of memory", "import os; os._exit(137)", "failed", 137),
)
