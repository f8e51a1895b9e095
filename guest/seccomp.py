"""The system calls that user code may not make, as a seccomp filter (seccomp(2), linux/filter.h).

A deny list on purpose: the microVM is the wall, this only takes the kernel's rarely needed and often exploited doors
out of reach. A denied call fails with EPERM, clone3 with ENOSYS so that libc falls back to clone, whose flags the
filter can see.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from guest import syscalls

_LD_W_ABS = 0x20
_JEQ = 0x15
_JSET = 0x45
_RET = 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
_NUMBER_AT, _ARCH_AT, _ARG0_AT = 0, 4, 16  # struct seccomp_data
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}

# name: (x86_64, aarch64); None where the architecture has no such call
DENIED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
# Families that user code may open no socket of (linux/socket.h): no namespace holds vsock, which leads to the host.
DENIED_FAMILIES = {"AF_VSOCK": 40}
_SOCKET = (41, 198)
_CLONE = (56, 220)
_CLONE3 = (435, 435)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def program(machine: str) -> bytes:
    """The filter as an array of struct sock_filter."""
    column = 0 if machine == "x86_64" else 1
    denied = sorted(number for pair in DENIED.values() if (number := pair[column]) is not None)
    refuse = _op(_RET, _ERRNO | errno.EPERM)
    out = [
        _op(_LD_W_ABS, _ARCH_AT),
        _op(_JEQ, _AUDIT_ARCH[machine], 1, 0),
        _op(_RET, _KILL_PROCESS),
        _op(_LD_W_ABS, _NUMBER_AT),
    ]
    if machine == "x86_64":
        out += [_op(_JSET, _X32_BIT, 0, 1), refuse]
    out += [_op(_JEQ, _CLONE3[column], 0, 1), _op(_RET, _ERRNO | errno.ENOSYS)]
    for number in denied:
        out += [_op(_JEQ, number, 0, 1), refuse]
    out += [_op(_JEQ, _SOCKET[column], 0, 2 + 2 * len(DENIED_FAMILIES)), _op(_LD_W_ABS, _ARG0_AT)]
    for family in DENIED_FAMILIES.values():
        out += [_op(_JEQ, family, 0, 1), refuse]
    out += [
        _op(_RET, _ALLOW),
        _op(_JEQ, _CLONE[column], 0, 3),
        _op(_LD_W_ABS, _ARG0_AT),
        _op(_JSET, _NEW_NAMESPACES, 0, 1),
        refuse,
        _op(_RET, _ALLOW),
    ]
    return b"".join(out)


_PROGRAM = ctypes.create_string_buffer(program(syscalls.MACHINE))
_FPROG = ctypes.create_string_buffer(
    struct.pack("@HxxxxxxQ", (ctypes.sizeof(_PROGRAM) - 1) // 8, ctypes.addressof(_PROGRAM))  # struct sock_fprog
)


def install() -> None:
    """Apply the filter to this process and all it starts. Needs no_new_privs first."""
    syscalls.prctl(syscalls.PR_SET_SECCOMP, 2, _FPROG)  # SECCOMP_MODE_FILTER
