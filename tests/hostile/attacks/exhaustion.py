"""Taking all there is of something: processes, memory, disk, inodes, descriptors, time."""

from __future__ import annotations

from engine.models import RunResult
from tests.hostile.attacks.attack import Attack, bash

MIB = 1024 * 1024


def _ended_early(result: RunResult) -> None:
    assert result.exec_time_ms < 8_000, "the CPU limit did not end it, the wall limit did"


def _used_cpu(result: RunResult) -> None:
    assert result.usage.cpu_ms > 500, "it was ended before it had burnt anything"


ATTACKS = (
    Attack(
        "fork bomb in bash",
        bash("bomb() { bomb | bomb & }; bomb; sleep 100"),
        status="timeout",
        exit_code=124,
        timeout_s=3,
        check=_used_cpu,
    ),
    Attack(
        "fork bomb in python",
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        status="timeout",
        exit_code=124,
        timeout_s=3,
        check=_used_cpu,
    ),
    Attack(
        "fork bomb whose processes leave orphans all the time",
        """
        import os
        os.fork(), os.fork(), os.fork()
        while True:
            try:
                if os.fork() == 0:
                    if os.fork() == 0:
                        os._exit(0)
                    os._exit(0)
                os.wait()
            except OSError:
                pass
        """,
        status="timeout",
        exit_code=124,
        timeout_s=3,
    ),
    Attack(
        "thread bomb",
        """
        import threading, time
        started = 0
        try:
            while True:
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                started += 1
        except RuntimeError:
            print("refused", 50 < started < 128, flush=True)
        import os
        os._exit(0)
        """,
        stdout="refused True\n",
    ),
    Attack(
        "memory bomb",
        "hoard = []\nwhile True:\n    hoard.append(bytearray(1 << 20))\n",
        status="memory_limit",
        exit_code=137,
    ),
    Attack(
        "memory bomb over a limit of its own",
        "print('begun', flush=True)\nhoard = bytearray(60 << 20)\nprint('got it')\n",
        status="memory_limit",
        exit_code=137,
        stdout="begun\n",
        fields={"limits": {"memory_mib": 48}},
    ),
    Attack(
        "memory bomb of many processes",
        """
        import os, time
        for _ in range(40):
            if os.fork() == 0:
                hoard = bytearray(16 << 20)
                time.sleep(60)
        time.sleep(60)
        """,
        status="memory_limit",
        exit_code=137,
    ),
    Attack(
        "memory bomb while the agent holds all the stdin that it may get",
        "hoard = []\nwhile True:\n    hoard.append(bytearray(1 << 20))\n",
        status="memory_limit",
        exit_code=137,
        fields={"stdin": "x" * (8 * MIB)},
    ),
    Attack(
        "memory bomb by files",
        """
        with open("/dev/shm/hoard", "wb") as file:
            while True:
                file.write(bytes(1 << 20))
        """,
        status="memory_limit",
        exit_code=137,
        fields={"limits": {"tmpfs_mib": 4096, "file_mib": 4096}},
    ),
    Attack(
        "memory bomb in the kernel: sockets that nobody reads",
        """
        import resource, socket
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        kept = []
        while True:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            kept.append(pair)
            pair[0].setblocking(False)
            try:
                while True:
                    pair[0].send(bytes(32768))
            except BlockingIOError:
                pass
        """,
        status="memory_limit",
        exit_code=137,
        timeout_s=20,
    ),
    Attack(
        "memory bomb in the kernel: System V messages",
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        message = ctypes.create_string_buffer(b"\\1" + bytes(8199))
        sent = 0
        while (queue := libc.msgget(0, 0o1600)) >= 0:
            while libc.msgsnd(queue, message, 8192, 0o4000) == 0:
                sent += 1
        print("no more queues after", sent)
        """,
        status="memory_limit",
        exit_code=137,
        timeout_s=20,
    ),
    Attack(
        "memory bomb in the kernel: file locks, which it charges to nobody",
        """
        import fcntl, itertools, os, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        for number in itertools.count():
            file = os.open(f"/tmp/{number}", os.O_RDWR | os.O_CREAT)
            for byte in range(600):
                fcntl.lockf(file, fcntl.LOCK_EX if byte % 2 else fcntl.LOCK_SH, 1, byte)
        """,
        status="timeout",  # all memory of the VM is gone by then, and the agent still says so
        exit_code=124,
        timeout_s=40,
        nightly=True,
    ),
    Attack(
        "filling the disk",
        """
        import errno
        written = 0
        try:
            for number in range(10):
                with open(f"/tmp/{number}", "wb") as file:
                    for _ in range(16):
                        written += file.write(bytes(1 << 20))
        except OSError as error:
            print(errno.errorcode[error.errno], 56 <= written >> 20 <= 64)
        try:
            open("/dev/shm/more", "wb").write(bytes(1 << 20))
        except OSError as error:
            print(errno.errorcode[error.errno])
        print("still here")
        """,
        stdout="ENOSPC True\nENOSPC\nstill here\n",
    ),
    Attack(
        "one file over the limit of a file, sparse or not",
        """
        import errno, os
        file = open("big", "wb")
        for attempt in (lambda: os.truncate("big", 3 << 20), lambda: os.pwrite(file.fileno(), b"x", 3 << 20)):
            try:
                attempt()
            except OSError as error:
                print(errno.errorcode[error.errno])
        """,
        stdout="EFBIG\nEFBIG\n",
        fields={"limits": {"file_mib": 2}},
    ),
    Attack(
        "exhausting inodes",
        """
        import errno, itertools, os
        try:
            for number in itertools.count():
                os.mknod(f"/tmp/{number}")
        except OSError as error:
            print(errno.errorcode[error.errno], number > 1000)
        """,
        stdout="ENOSPC True\n",
        timeout_s=60,
    ),
    Attack(
        "exhausting descriptors",
        """
        import errno, os
        kept = []
        try:
            while True:
                kept.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            print(errno.errorcode[error.errno])
        """,
        stdout="EMFILE\n",
    ),
    Attack(
        "burning CPU in many processes",
        """
        import os
        for _ in range(4):
            os.fork()
        while True:
            pass
        """,
        status="timeout",
        exit_code=124,
        timeout_s=20,
        fields={"limits": {"cpu_s": 1.5}},
        check=_ended_early,
    ),
    Attack(
        "raising its own limits",
        """
        import resource
        for name in ("RLIMIT_FSIZE", "RLIMIT_CPU", "RLIMIT_CORE", "RLIMIT_NOFILE"):
            limit = getattr(resource, name)
            try:
                resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                print("raised", name)
            except (ValueError, PermissionError):
                pass
        print(resource.getrlimit(resource.RLIMIT_CORE))
        """,
        stdout="(0, 0)\n",
    ),
)
