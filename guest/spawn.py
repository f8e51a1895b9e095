"""Start one program of the user's in the cell: in a fork of the cell's init, drop everything, then exec.

The order matters: join the control group while still root, then limits, then identity, then no_new_privs and the
seccomp filter, last exec. An error travels back through a pipe that exec closes, so the caller knows which it was.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import warnings

from guest import seccomp, syscalls

USER_ID = 65534
GROUP_ID = 65534
# os.execvpe imports it in the child, whose files are the image's and may have no Python: it has to be there before.
NEEDED_TO_EXEC = warnings
CONTROL_FD = 3  # where a parked interpreter finds its control socket

RLIMITS = {
    "fsize": resource.RLIMIT_FSIZE,
    "cpu": resource.RLIMIT_CPU,
    "core": resource.RLIMIT_CORE,
    "nofile": resource.RLIMIT_NOFILE,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "memlock": resource.RLIMIT_MEMLOCK,
}


class SpawnError(Exception):
    """The program could not be started; ``errno`` as exec or the step before it gave it."""

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(message)
        self.errno = errno


def spawn(
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    fds: list[int],
    procs_fd: int,
    rlimits: dict[str, int],
) -> int:
    """Start ``argv`` with ``fds`` as its 0, 1, 2 (and CONTROL_FD). Returns the pid; raises SpawnError."""
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(status_read)
        _child(argv, env, cwd, fds, procs_fd, rlimits, status_write)
    os.close(status_write)
    with open(status_read, "rb") as status:
        report = status.read()
    if not report:
        return pid
    os.waitpid(pid, 0)
    errno, _, message = report.decode(errors="replace").partition(" ")
    raise SpawnError(int(errno), message)


def _child(
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    fds: list[int],
    procs_fd: int,
    rlimits: dict[str, int],
    status_fd: int,
) -> None:
    step = "start"
    try:
        os.setsid()
        _default_signals()
        step = "join its control group"
        os.write(procs_fd, b"0")
        step = "be the first that a lack of memory ends"
        _expose_to_oom()
        step = "set limits"
        for name, value in rlimits.items():
            resource.setrlimit(RLIMITS[name], (value, value))
        status_fd = _place(fds, status_fd)
        step = "drop privileges"
        drop_privileges()
        step = f"enter {cwd}"
        os.chdir(cwd)
        step = f"run {argv[0]}"
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(status_fd, f"{error.errno or 0} cannot {step}: {error.strerror}".encode())
    except BaseException as error:  # noqa: BLE001 - a forked child must not return into its parent's loop
        os.write(status_fd, f"0 cannot {step}: {error!r}".encode())
    os._exit(127)


def _place(fds: list[int], status_fd: int) -> int:
    """Move ``fds`` to 0, 1, 2 ... and close all else but the status pipe, whose new number is returned."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in (*fds, status_fd)]  # out of the targets' way
    for target, fd in enumerate(high[:-1]):
        os.dup2(fd, target)
    os.closerange(len(fds), high[-1])
    os.closerange(high[-1] + 1, 4096)
    return high[-1]


def _expose_to_oom() -> None:
    """Undo the agent's own protection, which a fork inherits: with it a run over its memory would only stall."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, b"1000")
    os.close(fd)


def _default_signals() -> None:
    """Undo what Python set for itself, which exec would pass on (signal(7))."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def drop_privileges() -> None:
    """Become the unprivileged user for good, with no way back through any exec."""
    syscalls.drop_capability_bounds()
    os.setgroups([])
    os.setresgid(GROUP_ID, GROUP_ID, GROUP_ID)
    os.setresuid(USER_ID, USER_ID, USER_ID)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install()
