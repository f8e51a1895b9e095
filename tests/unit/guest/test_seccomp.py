"""The filter of user code: run by this host's own kernel in a child, and read for the other architecture."""

from __future__ import annotations

import errno
import platform
import struct
import subprocess
import sys
from pathlib import Path

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


SOCKET = (41, 198)[COLUMN]
STREAM = 1


@pytest.mark.parametrize("name", sorted(seccomp.DENIED_FAMILIES))
@pytest.mark.parametrize("high", [0, 1 << 32], ids=["", "high bits that the kernel ignores"])
def test_a_socket_of_a_denied_family_is_refused(name: str, high: int) -> None:
    assert outcome(SOCKET, high | seccomp.DENIED_FAMILIES[name], STREAM, 0) == "EPERM"


def test_other_sockets_are_allowed() -> None:
    unix, inet, netlink, datagram = 1, 2, 16, 2
    assert [outcome(SOCKET, family, datagram, 0) for family in (unix, inet, netlink)] == ["allowed"] * 3


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


# --- read, and so of any architecture

_MACHINES = ("x86_64", "aarch64")
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SIGCHLD = 17


def verdict(machine: str, number: int, argument: int = 0, architecture: int | None = None) -> int:
    """What the filter says of a call: a classic BPF machine with the few instructions that it uses."""
    data = struct.pack("<IIQ6Q", number, architecture or _ARCHITECTURE[machine], 0, argument, 0, 0, 0, 0, 0)
    program = list(struct.iter_unpack("<HBBI", seccomp.program(machine)))
    value = at = 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        elif code == 0x15:
            at += if_true if value == operand else if_false
        elif code == 0x45:
            at += if_true if value & operand else if_false
        elif code == 0x06:
            return operand
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def refused(number: int) -> int:
    return 0x00050000 | number


@pytest.mark.parametrize("machine", _MACHINES)
def test_every_denied_call_is_refused_and_its_neighbours_are_not(machine: str) -> None:
    column = _MACHINES.index(machine)
    denied = {number for pair in seccomp.DENIED.values() if (number := pair[column]) is not None}
    clone3 = 435
    assert {number for number in range(500) if verdict(machine, number) == refused(errno.EPERM)} == denied
    assert {number for number in range(500) if verdict(machine, number) == refused(errno.ENOSYS)} == {clone3}


@pytest.mark.parametrize(("machine", "clone"), [("x86_64", 56), ("aarch64", 220)])
def test_a_fork_is_allowed_and_one_into_a_new_namespace_is_not(machine: str, clone: int) -> None:
    assert verdict(machine, clone, _SIGCHLD) == _ALLOW
    for namespace in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, clone, namespace | _SIGCHLD) == refused(errno.EPERM)


@pytest.mark.parametrize(("machine", "socket"), [("x86_64", 41), ("aarch64", 198)])
def test_vsock_is_the_only_family_that_is_refused(machine: str, socket: int) -> None:
    vsock = 40
    assert [family for family in range(64) if verdict(machine, socket, family) != _ALLOW] == [vsock]
    assert verdict(machine, socket, vsock) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", _MACHINES)
def test_calls_of_another_architecture_end_the_process(machine: str) -> None:
    i386 = 0x40000003
    assert verdict(machine, 1, architecture=i386) == _KILL


def test_the_numbers_are_those_of_this_kernels_headers() -> None:
    """asm/unistd_64.h, where it is installed: a table typed wrong denies the wrong call."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("no kernel headers of x86_64 here")
    numbers = {
        words[1].removeprefix("__NR_"): int(words[2])
        for line in header.read_text().splitlines()
        if len(words := line.split()) == 3 and words[1].startswith("__NR_")
    }
    wrong = {
        name: (number, numbers.get(name))
        for name, (number, _) in seccomp.DENIED.items()
        if name in numbers and numbers[name] != number
    }
    assert wrong == {}
    assert len(seccomp.DENIED.keys() & numbers.keys()) > 30


def test_the_numbers_of_aarch64_are_those_of_the_generic_table() -> None:
    """asm-generic/unistd.h, which aarch64 uses as it is."""
    header = Path("/usr/include/asm-generic/unistd.h")
    if not header.exists():
        pytest.skip("no kernel headers here")
    numbers = {
        words[1].removeprefix("__NR_").removeprefix("__NR3264_"): int(words[2])
        for line in header.read_text().splitlines()
        if len(words := line.split()) == 3 and words[0] == "#define" and words[2].isdigit()
    }
    wrong = {
        name: (number, numbers.get(name))
        for name, (_, number) in seccomp.DENIED.items()
        if number is not None and name in numbers and numbers[name] != number
    }
    assert wrong == {}
    assert len(seccomp.DENIED.keys() & numbers.keys()) > 30
