"""Process 1 inside a cell: builds what user code sees, then starts programs and reports their ends.

It is a fork of the agent, so it needs no file of the image. It is root there, the user's code is not, so that code can
neither signal nor trace it; when it dies the kernel kills everything else in the namespace.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import socket
import stat
import struct

from guest import files, syscalls
from guest.spawn import GROUP_ID, USER_ID, SpawnError, spawn
from guest.static import Any

IMAGE = "/image"
WORK = "/work"
MAX_PACKET = 192 * 1024
_MAX_FDS = 8
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_QUIET = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC


def run(sock: socket.socket, home: str) -> None:
    """Never returns. ``home`` is the cell's tmpfs."""
    code = 1
    try:
        wakeup = _enter(sock, home)
        _send(sock, {"is": "ready"})
        _serve(sock, wakeup)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the agent must hear of it; this process has no other voice
        _send(sock, {"is": "broken", "message": f"the cell can't be made: {error!r}"})
    finally:
        os._exit(code)


def _enter(sock: socket.socket, home: str) -> int:
    os.setsid()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    root = _build_root(home)
    os.chdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")
    _loopback_up()
    wakeup_read, wakeup_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    keep = {sock.fileno(), wakeup_read, wakeup_write}
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd, inheritable=False)
    for fd in range(3, 256):
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass  # was not open
    signal.signal(signal.SIGCHLD, _wake)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    return wakeup_read


def _build_root(home: str) -> str:
    """Mount image + writable layer, /proc, /dev below home/root."""
    for name in ("upper", "layer", "root", "shm", "work"):
        os.mkdir(f"{home}/{name}")
    root = f"{home}/root"
    options = f"lowerdir={IMAGE},upperdir={home}/upper,workdir={home}/layer"
    syscalls.mount("overlay", root, "overlay", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
    for path, mode in (("/proc", 0o555), ("/dev", 0o755), ("/tmp", 0o1777), (WORK, 0o755)):
        _folder(root + path, mode)
    os.chown(f"{home}/work", USER_ID, GROUP_ID)
    syscalls.mount(f"{home}/work", root + WORK, None, syscalls.MS_BIND)  # making a file here need not ask the image
    syscalls.mount("proc", root + "/proc", "proc", _QUIET, "hidepid=invisible")
    _build_dev(root + "/dev", home)
    with open(home + "/boot_id", "w"):
        pass
    syscalls.mount(home + "/boot_id", root + "/proc/sys/kernel/random/boot_id", None, syscalls.MS_BIND)
    return root


def _folder(path: str, mode: int) -> None:
    """A real folder at path, whatever the image has there: a symbolic link there would lead out of the root."""
    try:
        kind = os.lstat(path).st_mode
        if not stat.S_ISDIR(kind):
            os.unlink(path)
            os.mkdir(path)
    except FileNotFoundError:
        os.mkdir(path)
    os.chmod(path, mode)
    os.chown(path, 0, 0)


def _build_dev(dev: str, home: str) -> None:
    syscalls.mount("tmpfs", dev, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, "mode=755,size=64k")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"{dev}/{name}", stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    for name, target in _LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"{dev}/{name}")
    options = "newinstance,ptmxmode=0666,mode=620"
    syscalls.mount("devpts", f"{dev}/pts", "devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, options)
    os.chmod(f"{home}/shm", 0o1777)
    syscalls.mount(f"{home}/shm", f"{dev}/shm", None, syscalls.MS_BIND)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, syscalls.SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", syscalls.IFF_UP))


def _serve(sock: socket.socket, wakeup: int) -> None:
    """Until the agent closes its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    started: set[int] = set()
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if wakeup in ready:
            os.read(wakeup, 512)
            _report_exits(sock, started)
        if sock.fileno() in ready:
            packet, fds, _, _ = socket.recv_fds(sock, MAX_PACKET, _MAX_FDS)
            if not packet:
                return
            try:
                head, _, data = packet.partition(b"\n")
                answer, body = _handle(json.loads(head), data, fds)
                if isinstance(pid := answer.get("pid"), int):
                    started.add(pid)
                _send(sock, answer, body)
            finally:
                for fd in fds:
                    os.close(fd)


def _handle(message: dict[str, Any], data: bytes, fds: list[int]) -> tuple[dict[str, object], bytes]:
    action = message["do"]
    try:
        if action == "spawn":
            pid = spawn(message["argv"], message["env"], message["cwd"], fds[1:], fds[0], message["rlimits"])
            return {"is": "spawned", "pid": pid}, b""
        if action == "put":
            files.put(WORK, message["path"], message["mode"], message["offset"], data)
            return {"is": "done"}, b""
        if action == "get":
            return {"is": "done"}, files.get(WORK, message["path"], message["offset"], message["length"])
        if action == "list":
            return {"is": "done", "files": files.listing(WORK)}, b""
    except SpawnError as error:
        return {"is": "spawned", "errno": error.errno, "message": str(error)}, b""
    except OSError as error:
        return {"is": "done", "errno": error.errno or errno.EIO, "message": error.strerror or str(error)}, b""
    raise ValueError(f"unknown action {action!r}")


def _wake(_number: int, _frame: object) -> None:
    """Nothing: the handler's presence makes the signal write to the wakeup pipe."""


def _report_exits(sock: socket.socket, started: set[int]) -> None:
    """Only of what the agent had started: orphans end here too, and could come faster than it reads."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in started:
            started.remove(pid)
            _send(sock, {"is": "exited", "pid": pid, "status": status})


def _send(sock: socket.socket, message: dict[str, object], body: bytes = b"") -> None:
    sock.send(json.dumps(message).encode() + b"\n" + body)
