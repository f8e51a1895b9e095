"""The installed command in a real terminal of 80x24, and an emulator that keeps what is on its screen."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pyte
import pytest

from engine.settings import Settings

VMDECK = str(Path(sys.executable).with_name("vmdeck"))


def environment(lab: Settings) -> dict[str, str]:
    folders = {
        "VMDECK_DATA_DIR": str(lab.data_dir),
        "VMDECK_RUNTIME_DIR": str(lab.runtime_dir),
        "XDG_STATE_HOME": str(lab.data_dir / "state"),
    }
    return {**os.environ, **folders, "TERM": "xterm-256color"}


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
        process = await asyncio.create_subprocess_exec(
            VMDECK,
            *arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment(lab),
        )
        os.close(slave)
        return cls(process, master)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def until(self, *texts: str, within_s: float = 30) -> None:
        """Wait until one of ``texts`` is on the screen."""
        try:
            async with asyncio.timeout(within_s):
                while not any(text in self.screen for text in texts):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"none of {texts} appeared in {within_s} s; on the screen was:\n{self.screen}")

    async def until_open(self) -> None:
        """Wait until the console has an engine that can run code."""
        await self.until("✓ ready", "! degraded")

    @property
    def screen(self) -> str:
        return "\n".join(self._screen.display)

    def hang_up(self) -> None:
        """The terminal goes, as with a broken SSH connection."""
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        self._master = -1

    async def close(self) -> None:
        if self._master >= 0:
            self.hang_up()
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def _read(self) -> None:
        try:
            self._emulator.feed(os.read(self._master, 65536))
        except OSError:  # the program has closed its end
            asyncio.get_running_loop().remove_reader(self._master)
