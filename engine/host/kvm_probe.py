"""The throw-away VM that shows what KVM really does, run as a program of its own: ``python -I -S kvm_probe.py DEVICE``.

One page of real-mode code counts a register down from LOOP_ITERATIONS and halts. Prints one JSON object, a
``Report`` without its unset keys. It is a separate process because a KVM that emulates can hang in the kernel, and
standard library only so that it starts in milliseconds. What the figures mean is decided in ``engine.host.kvm``.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import signal
import struct
import sys
import time
from types import FrameType
from typing import TypedDict

LOOP_ITERATIONS = 1_000_000
CPU_BUDGET_S = 0.6  # a hundred times what hardware needs for the loop; CPU time, so that a busy host changes nothing

_GUEST_CODE_AT = 0x1000
_GUEST_CODE = (
    b"\x66\xb9" + struct.pack("<I", LOOP_ITERATIONS)  # mov ecx, LOOP_ITERATIONS
    + b"\x66\x49"  # again: dec ecx
    + b"\x75\xfc"  # jnz again
    + b"\xf4"  # hlt
)  # fmt: skip
_PAGE = 4096
_EXIT_HLT = 5

# linux/kvm.h, x86-64
_KVM_CREATE_VM = 0xAE01
_KVM_GET_VCPU_MMAP_SIZE = 0xAE04
_KVM_CREATE_VCPU = 0xAE41
_KVM_SET_USER_MEMORY_REGION = 0x4020AE46
_KVM_SET_TSS_ADDR = 0xAE47
_KVM_RUN = 0xAE80
_KVM_GET_REGS = 0x8090AE81
_KVM_SET_REGS = 0x4090AE82
_KVM_GET_SREGS = 0x8138AE83
_KVM_SET_SREGS = 0x4138AE84
_REGS = struct.Struct("<18Q")  # rax rbx rcx rdx rsi rdi rsp rbp r8..r15 rip rflags
_RCX, _RIP, _RFLAGS = 2, 16, 17
_RFLAGS_RESERVED = 2
_TSS_AT = 0x10000000  # older Intel chips keep three pages of their own in guest memory: anywhere the guest is not


class Report(TypedDict, total=False):
    """What the probe prints."""

    stage: str  # the last thing begun: open, create, run, end
    errno: int  # where the stage failed
    halted: bool  # the guest came to its HLT
    exit_reason: int  # KVM_EXIT_*, where KVM_RUN came back by itself
    iterations: int  # done by the guest
    cpu_ms: float  # spent on them by this thread, guest time included
    wall_ms: float


def _probe(device: str, report: Report) -> None:
    """Fill ``report`` as it goes, so that an OSError leaves it at the stage that failed."""
    report["stage"] = "open"
    kvm = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    report["stage"] = "create"
    vm = fcntl.ioctl(kvm, _KVM_CREATE_VM, 0)
    memory = mmap.mmap(-1, _PAGE)
    memory[: len(_GUEST_CODE)] = _GUEST_CODE
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(vm, _KVM_SET_TSS_ADDR, _TSS_AT)
    fcntl.ioctl(vm, _KVM_SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, _GUEST_CODE_AT, _PAGE, address))
    vcpu = fcntl.ioctl(vm, _KVM_CREATE_VCPU, 0)
    state = mmap.mmap(vcpu, fcntl.ioctl(kvm, _KVM_GET_VCPU_MMAP_SIZE, 0))
    _set_registers(vcpu)
    report["stage"] = "run"
    _run(vcpu, state, report)
    report["stage"] = "end"


def _set_registers(vcpu: int) -> None:
    """Real mode as after reset, with code segment 0 and the instruction pointer at our page."""
    special = bytearray(312)
    fcntl.ioctl(vcpu, _KVM_GET_SREGS, special)
    struct.pack_into("<Q", special, 0, 0)  # cs.base
    struct.pack_into("<H", special, 12, 0)  # cs.selector
    fcntl.ioctl(vcpu, _KVM_SET_SREGS, bytes(special))
    values = [0] * 18
    values[_RIP], values[_RFLAGS] = _GUEST_CODE_AT, _RFLAGS_RESERVED
    fcntl.ioctl(vcpu, _KVM_SET_REGS, _REGS.pack(*values))


def _run(vcpu: int, state: mmap.mmap, report: Report) -> None:
    # Not fcntl.ioctl: it may retry a call that a signal interrupted, and being interrupted is the point here.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
    signal.signal(signal.SIGPROF, _interrupt)
    signal.setitimer(signal.ITIMER_PROF, CPU_BUDGET_S)
    wall, cpu = time.monotonic(), time.thread_time()
    result = libc.ioctl(vcpu, _KVM_RUN, None)
    error = ctypes.get_errno()
    report["cpu_ms"] = round((time.thread_time() - cpu) * 1000, 3)
    report["wall_ms"] = round((time.monotonic() - wall) * 1000, 3)
    signal.setitimer(signal.ITIMER_PROF, 0)
    report["halted"] = False
    if result == 0:
        report["exit_reason"] = struct.unpack_from("<I", state, 8)[0]
        report["halted"] = report["exit_reason"] == _EXIT_HLT
    elif error != errno.EINTR:
        raise OSError(error, os.strerror(error))
    registers = bytearray(_REGS.size)
    fcntl.ioctl(vcpu, _KVM_GET_REGS, registers)
    report["iterations"] = LOOP_ITERATIONS - min(_REGS.unpack(registers)[_RCX], LOOP_ITERATIONS)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Nothing to do: that a signal came is what makes KVM_RUN return."""


def main(device: str) -> None:
    report: Report = {}
    try:
        _probe(device, report)
    except OSError as error:
        report["errno"] = error.errno or 0
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
