"""Getting more rights, other users' files, or a way out by the network."""

from __future__ import annotations

from tests.hostile.attacks.attack import Attack

ATTACKS = (
    Attack(
        "who it is",
        """
        import os
        print(os.getresuid(), os.getresgid(), os.getgroups())
        wanted = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
        for line in open("/proc/self/status"):
            name, _, value = line.partition(":")
            if name in wanted:
                print(name, int(value, 16))
        """,
        stdout="(65534, 65534, 65534) (65534, 65534, 65534) []\n"
        "CapInh 0\nCapPrm 0\nCapEff 0\nCapBnd 0\nCapAmb 0\nNoNewPrivs 1\nSeccomp 2\n",
    ),
    Attack(
        "setuid programs and more rights",
        """
        import os, shutil, subprocess
        shutil.copy("/bin/bash", "/work/shell")
        os.chmod("/work/shell", 0o6755)
        subprocess.run(["/work/shell", "-p", "-c", "echo $UID $EUID"])
        for path in ("/", "/tmp", "/work", "/dev/shm", "/proc"):
            flags = os.statvfs(path).f_flag
            print(path, bool(flags & os.ST_NOSUID), bool(flags & os.ST_NODEV))
        for call in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.nice(-5)):
            try:
                call()
                print("became somebody")
            except PermissionError:
                pass
        """,
        stdout="65534 65534\n/ True True\n/tmp True True\n/work True True\n/dev/shm True True\n/proc True True\n",
    ),
    Attack(
        "writing to the image",
        """
        import errno, os
        for path in ("/etc/passwd", "/bin/sh", "/usr/bin/python3", "/etc/ld.so.preload", "/new", "/dev/new",
                     "/proc/sys/kernel/hostname", "/proc/sys/kernel/random/boot_id"):
            try:
                os.open(path, os.O_WRONLY | os.O_CREAT)
                print("wrote", path)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    print(path, error)
        for path in ("/", "/work", "/tmp", "/etc"):
            try:
                os.chown(path, 65534, 65534)
                print("owns", path)
            except PermissionError:
                pass
        """,
        stdout="owns /work\n",  # it is the user's
    ),
    Attack(
        "a way out by the network",
        """
        import errno, socket
        print(socket.if_nameindex())
        for family, address in ((socket.AF_INET, ("10.0.2.2", 80)), (socket.AF_INET, ("169.254.169.254", 80)),
                                (socket.AF_INET6, ("2001:db8::1", 80))):
            try:
                socket.socket(family, socket.SOCK_STREAM).connect(address)
                print("connected", address)
            except OSError as error:
                print(errno.errorcode[error.errno])
        for family, kind in ((socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_INET, socket.SOCK_RAW),
                             (socket.AF_VSOCK, socket.SOCK_STREAM)):
            try:
                socket.socket(family, kind, socket.IPPROTO_ICMP if family == socket.AF_INET else 0)
                print("socket", family)
            except OSError as error:
                print(errno.errorcode[error.errno])
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()
        print("loopback works")
        """,
        stdout="[(1, 'lo')]\nENETUNREACH\nENETUNREACH\nENETUNREACH\nEPERM\nEPERM\nEPERM\nloopback works\n",
    ),
    Attack(
        "descriptors of the agent",
        """
        import os
        for name in sorted(os.listdir("/proc/self/fd"), key=int):
            try:
                print(name, os.readlink(f"/proc/self/fd/{name}").split(":")[0])
            except FileNotFoundError:
                pass  # the folder that was being listed
        """,
        stdout="0 /dev/null\n1 pipe\n2 pipe\n",
    ),
)
