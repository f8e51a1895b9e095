"""The console as an operator meets it: the installed command in a real terminal, on a real engine."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pyte
import pytest

from engine.settings import Settings

pytestmark = pytest.mark.vm
VMDECK = str(Path(sys.executable).with_name("vmdeck"))


class Terminal:
    """An 80x24 terminal with a program in it, and an emulator that keeps what is on its screen."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process = process
        self._screen = pyte.Screen(80, 24)
        self._emulator = pyte.ByteStream(self._screen)
        self._master = master
        asyncio.get_running_loop().add_reader(master, self._read)

    @classmethod
    async def start(cls, lab: Settings, *arguments: str) -> Terminal:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        folders = {"VMDECK_DATA_DIR": str(lab.data_dir), "VMDECK_RUNTIME_DIR": str(lab.runtime_dir)}
        process = await asyncio.create_subprocess_exec(
            VMDECK,
            *arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, **folders, "TERM": "xterm-256color"},
        )
        os.close(slave)
        return cls(process, master)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def until(self, text: str, within_s: float = 30) -> None:
        """Wait until ``text`` is on the screen."""
        try:
            async with asyncio.timeout(within_s):
                while text not in self.screen:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"{text!r} did not appear in {within_s} s; on the screen was:\n{self.screen}")

    @property
    def screen(self) -> str:
        return "\n".join(self._screen.display)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def _read(self) -> None:
        try:
            self._emulator.feed(os.read(self._master, 65536))
        except OSError:  # the program has closed its end
            asyncio.get_running_loop().remove_reader(self._master)


@pytest.fixture
async def console(lab: Settings) -> AsyncIterator[Terminal]:
    terminal = await Terminal.start(lab, "console")
    try:
        yield terminal
    finally:
        await terminal.close()


async def test_the_scratchpad_runs_its_code_in_a_microvm(console: Terminal) -> None:
    await console.until("Overview")
    console.type("5")
    await console.until("warm")  # the language is there, and so is its snapshot
    console.type("\x12")  # ctrl+r
    await console.until("Hello from Python 3.")
    await console.until("exit 0")


async def test_commands_attach_to_an_open_console(console: Terminal, lab: Settings) -> None:
    await console.until("Overview")
    async with asyncio.timeout(30):
        while not lab.socket_path.exists():
            await asyncio.sleep(0.02)
    host = await Terminal.start(lab, "host", "--lang", "python", "--code", "print('beside' + ' it')")
    try:
        await host.until("beside it")
        assert await asyncio.wait_for(host.process.wait(), 10) == 0
    finally:
        await host.close()


async def test_leaving_the_console_ends_its_vms(console: Terminal, lab: Settings) -> None:
    await console.until("Overview")
    console.type("5")
    await console.until("warm")
    console.type("\x12")
    async with asyncio.timeout(20):
        while not list(lab.vms_dir.glob("*")):
            await asyncio.sleep(0.005)
    console.type("\x11")  # ctrl+q asks, since code runs
    await console.until("This ends")
    console.type("\x11")  # a second one leaves at once
    await asyncio.wait_for(console.process.wait(), 20)
    assert not list(lab.vms_dir.glob("*"))
    assert not lab.socket_path.exists()
