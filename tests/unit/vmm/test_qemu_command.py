"""The QEMU command line: what a clone, a template and a cold machine differ in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.host.tsc import tsc_khz
from engine.vmm.base import VmSpec
from engine.vmm.qemu_command import MACHINES, SERIAL_PORTS, Channels, Memory, cmdline, command

SPEC = VmSpec(128, 2, Path("/k/bzImage"), Path("/k/vmlinux"), Path("/g/initramfs"), "quiet", (Path("/i/root,fs.ext4"),))


def arguments(memory: Memory | None = None, *, incoming: bool = False) -> list[str]:
    return command(
        Path("/usr/bin/qemu"),
        "0123",
        SPEC,
        Channels(7, 8, 9),
        accelerator="tcg",
        machine="microvm",
        cpu_model="max",
        memory=memory or Memory(),
        incoming=incoming,
    )


def value(of: list[str], option: str) -> list[str]:
    return [of[at + 1] for at, word in enumerate(of) if word == option]


def test_a_clone_never_writes_the_snapshots_memory() -> None:
    (memory,) = [
        each for each in value(arguments(memory=Memory("/s/memory"), incoming=True), "-object") if "mem-path" in each
    ]
    assert "share=off" in memory


def test_a_clone_is_given_nothing_to_boot_from() -> None:
    clone = arguments(memory=Memory("/s/memory"), incoming=True)
    assert not {"-kernel", "-initrd", "-append"} & set(clone)
    assert value(clone, "-incoming") == ["defer"]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the clock of x86 guests")
def test_only_an_emulated_guest_is_told_the_rate_of_its_clock_and_trusts_it() -> None:
    assert f"tsc_early_khz={tsc_khz()} tsc=reliable" in cmdline(SPEC, "tcg")
    assert "tsc" not in cmdline(SPEC, "kvm")


@pytest.mark.parametrize(("architecture", "port"), [("x86_64", "ttyS0"), ("aarch64", "ttyAMA0")])
def test_the_console_is_the_serial_port_that_the_machine_has(architecture: str, port: str) -> None:
    assert cmdline(SPEC, "kvm", architecture).startswith(f"console={port} ")


def test_every_machine_has_a_serial_port() -> None:
    assert SERIAL_PORTS.keys() == MACHINES.keys()


def test_every_drive_is_read_only_and_waits_for_no_lock() -> None:
    drives = value(arguments(), "-blockdev")
    assert len(drives) == len(SPEC.drives)
    assert all("read-only=on" in drive and "file.locking=off" in drive for drive in drives)


@pytest.mark.parametrize("incoming", [False, True])
def test_commas_in_paths_are_no_options(incoming: bool) -> None:
    made = arguments(memory=Memory("/s/me,share=on"), incoming=incoming)
    assert any("filename=/i/root,,fs.ext4" in drive for drive in value(made, "-blockdev"))
    assert any("mem-path=/s/me,,share=on" in each for each in value(made, "-object"))


def test_qemu_gets_no_network_no_monitor_on_a_terminal_and_a_seccomp_sandbox() -> None:
    made = arguments()
    assert not [word for word in made if word in ("-netdev", "-nic", "-net")]
    assert "-nodefaults" in made
    assert value(made, "-mon") == ["chardev=qmp,mode=control"]
    (sandbox,) = value(made, "-sandbox")
    assert sandbox.startswith("on,")
    assert "spawn=deny" in sandbox
