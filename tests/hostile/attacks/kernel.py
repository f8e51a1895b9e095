"""Reaching for the kernel, the agent and the devices of the machine."""

from __future__ import annotations

from tests.hostile.attacks.attack import Attack

# What each call gives, by name of the error; a call that works prints "OK".
_CALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    ctypes.set_errno(0)
    print(name, "OK" if getattr(libc, name)(*arguments) >= 0 else errno.errorcode[ctypes.get_errno()])
def syscall(name, number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(each) for each in arguments])
    print(name, "OK" if result >= 0 else errno.errorcode[ctypes.get_errno()])
def opened(path, flags=os.O_RDONLY):
    try:
        return os.open(path, flags)
    except OSError as error:
        print(path, errno.errorcode[error.errno])
"""


def _lines(*lines: str) -> str:
    return "".join(line + "\n" for line in lines)


ATTACKS = (
    Attack(
        "tracing and reading process 1 of the cell",
        _CALL
        + """
call("ptrace", 16, 1, 0, 0)
call("ptrace", 0x4206, 1, 0, 0)
syscall("process_vm_readv", 310, 1, 0, 0, 0, 0, 0)
syscall("process_vm_writev", 311, 1, 0, 0, 0, 0, 0)
syscall("pidfd_getfd", 438, os.pidfd_open(1), 3, 0)
for name in ("mem", "maps", "environ", "fd", "root", "ns/net"):
    opened(f"/proc/1/{name}")
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) == [os.getpid()])
""",
        stdout=_lines(
            "ptrace EPERM",
            "ptrace EPERM",
            "process_vm_readv EPERM",
            "process_vm_writev EPERM",
            "pidfd_getfd EPERM",
            *(f"/proc/1/{name} ENOENT" for name in ("mem", "maps", "environ", "fd", "root", "ns/net")),
            "True",
        ),
    ),
    Attack(
        "an interpreter of the warm start that this run does not use",
        """
        import os
        print([name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()])
        """,
        stdout="[]\n",
        fields={"env": {"PYTHONHASHSEED": "1"}},
    ),
    Attack(
        "block devices",
        _CALL
        + """
import stat
for name in ("vda", "vdb", "sda", "loop0", "mem", "kmem", "port", "nvram", "rtc0"):
    opened(f"/dev/{name}", os.O_RDWR)
for kind, major, minor in ((stat.S_IFBLK, 254, 0), (stat.S_IFBLK, 253, 0), (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 5, 1)):
    try:
        os.mknod("/work/device", kind | 0o666, os.makedev(major, minor))
        print("made")
    except PermissionError:
        pass
devices = [entry.name for entry in os.scandir("/dev") if stat.S_ISBLK(entry.stat(follow_symlinks=False).st_mode)]
print("blocks:", devices)
""",
        stdout=_lines(
            *(f"/dev/{name} ENOENT" for name in ("vda", "vdb", "sda", "loop0", "mem", "kmem", "port", "nvram", "rtc0")),
            "blocks: []",
        ),
    ),
    Attack(
        "memory and messages of the kernel",
        _CALL
        + """
for path in ("/dev/mem", "/dev/kmsg", "/proc/kcore", "/proc/kmsg", "/proc/kpagecount", "/proc/iomem"):
    if (fd := opened(path)) is not None:
        print(path, set(line.split()[0] for line in os.read(fd, 4096).splitlines()) <= {b"00000000-00000000"})
print({line.split()[0] for line in open("/proc/kallsyms")} <= {"0" * 16})
call("klogctl", 3, ctypes.create_string_buffer(4096), 4096)
print(os.access("/proc/sysrq-trigger", os.W_OK), os.access("/proc/sys/kernel/core_pattern", os.W_OK))
print(os.listdir("/sys") if os.path.exists("/sys") else [])
""",
        stdout=_lines(
            "/dev/mem ENOENT",
            "/dev/kmsg ENOENT",
            "/proc/kcore EACCES",
            "/proc/kmsg EACCES",
            "/proc/kpagecount EACCES",
            "/proc/iomem True",
            "True",
            "klogctl EPERM",
            "False False",
            "[]",
        ),
    ),
    Attack(
        "mounting and remounting",
        _CALL
        + """
MS_REMOUNT, MS_BIND = 32, 4096
call("mount", b"none", b"/", None, MS_REMOUNT, None)
call("mount", b"none", b"/proc", None, MS_REMOUNT, b"hidepid=0")
call("mount", b"/", b"/tmp", None, MS_BIND, None)
call("mount", b"proc", b"/tmp", b"proc", 0, None)
call("umount2", b"/proc/sys/kernel/random/boot_id", 2)
call("umount2", b"/dev", 2)
for name, number in (("fsopen", 430), ("open_tree", 428), ("move_mount", 429), ("mount_setattr", 442),
                     ("pivot_root", 155)):
    syscall(name, number, 0, 0, 0, 0, 0)
call("chroot", b"/tmp")
call("swapon", b"/tmp/x", 0)
""",
        stdout=_lines(
            *["mount EPERM"] * 4,
            *["umount2 EPERM"] * 2,
            *(f"{name} EPERM" for name in ("fsopen", "open_tree", "move_mount", "mount_setattr", "pivot_root")),
            "chroot EPERM",
            "swapon EPERM",
        ),
    ),
    Attack(
        "new namespaces",
        _CALL
        + """
NEW = {"NS": 0x20000, "CGROUP": 0x2000000, "UTS": 0x4000000, "IPC": 0x8000000, "USER": 0x10000000, "PID": 0x20000000,
       "NET": 0x40000000}
for name, flag in NEW.items():
    print(name, end=" ")
    call("unshare", flag)
    print(name, end=" ")
    syscall("clone", 56, flag | 17, 0, 0, 0, 0)
syscall("clone3", 435, 0, 0)
syscall("setns", 308, os.open("/proc/self/ns/net", os.O_RDONLY), 0)
call("sethostname", b"owned", 5)
""",
        stdout=_lines(
            *(
                f"{name} {call} EPERM"
                for name in ("NS", "CGROUP", "UTS", "IPC", "USER", "PID", "NET")
                for call in ("unshare", "clone")
            ),
            "clone3 ENOSYS",
            "setns EPERM",
            "sethostname EPERM",
        ),
    ),
    Attack(
        "the kernel's seldom used doors",
        _CALL
        + """
for name, number in (("bpf", 321), ("perf_event_open", 298), ("userfaultfd", 323), ("io_uring_setup", 425),
                     ("keyctl", 250), ("add_key", 248), ("init_module", 175), ("finit_module", 313),
                     ("kexec_load", 246), ("reboot", 169), ("iopl", 172), ("ioperm", 173), ("acct", 163),
                     ("open_by_handle_at", 304), ("quotactl", 179), ("settimeofday", 164)):
    syscall(name, number, 0, 0, 0, 0, 0)
""",
        stdout=_lines(
            *(
                f"{name} EPERM"
                for name in (
                    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key", "init_module"),
                    *(
                        "finit_module",
                        "kexec_load",
                        "reboot",
                        "iopl",
                        "ioperm",
                        "acct",
                        "open_by_handle_at",
                        "quotactl",
                    ),
                )
            ),
            "settimeofday EPERM",
        ),
    ),
    Attack(
        "calls of another architecture",
        """
        import ctypes, mmap
        # mov eax, 20 (getpid of i386); int 0x80; ret
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex("b814000000cd80c3"))
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        print("came back")
        """,
        status="failed",
        exit_code=128 + 31,
        stdout="",
    ),
)
