"""The filter of user code, run by this host's own kernel in a child."""

from __future__ import annotations

import platform
import struct
import subprocess
import sys

import pytest

from guest import seccomp

CHILD = """
import ctypes, errno, os, sys
from guest import seccomp, syscalls
syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install()
libc = ctypes.CDLL(None, use_errno=True)
number, *arguments = map(int, sys.argv[1:])
ctypes.set_errno(0)
result = libc.syscall(number, *(ctypes.c_ulong(value) for value in arguments))
print(errno.errorcode.get(ctypes.get_errno(), "none") if result < 0 else "allowed")
"""
COLUMN = 0 if platform.machine() == "x86_64" else 1


def outcome(number: int, *arguments: int) -> str:
    command = [sys.executable, "-c", CHILD, str(number), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", sorted(seccomp.DENIED))
def test_a_denied_call_fails_with_eperm(name: str) -> None:
    number = seccomp.DENIED[name][COLUMN]
    if number is None:
        pytest.skip(f"{platform.machine()} has no {name}")
    # -1 everywhere: a call that got through would fail with another error, or do nothing
    assert outcome(number, *[2**64 - 1] * 6) == "EPERM"


def test_clone3_looks_absent_so_that_libc_falls_back_to_clone() -> None:
    assert outcome(435, 0, 0) == "ENOSYS"


def test_clone_may_not_make_namespaces() -> None:
    number = (56, 220)[COLUMN]
    new_user = 0x10000000
    assert outcome(number, new_user, 0, 0, 0, 0) == "EPERM"


def test_ordinary_calls_pass() -> None:
    getpid = (39, 172)[COLUMN]
    assert outcome(getpid) == "allowed"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 calls exist on x86_64 only")
def test_x32_numbers_do_not_go_round_the_filter() -> None:
    x32_getpid = 0x40000000 | 39
    assert outcome(x32_getpid) == "EPERM"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_program_is_whole_and_every_jump_stays_inside(machine: str) -> None:
    program = seccomp.program(machine)
    assert len(program) % 8 == 0
    steps = [struct.unpack("<HBBI", program[at : at + 8]) for at in range(0, len(program), 8)]
    assert len(steps) < 4096  # BPF_MAXINSNS
    for at, (code, if_true, if_false, _) in enumerate(steps):
        if code & 0x07 == 0x05:
            assert at + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06
