"""The pictures in README and docs: the console at work on real microVMs. ``python -m tests.console.picture FOLDER``."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from console.app import ConsoleApp
from console.widgets.code_editor import CodeEditor
from engine.engine import Engine
from engine.models import RunRequest
from engine.settings import Settings
from tests.console.driving import Driven, connection_to, driving
from tests.lab import made_lab

SIZE = (100, 28)
MOST_BYTES = 64 * 1024
WITHIN_S = 60.0
CODE = """\
import os, platform

primes = []
for number in range(2, 100):
    if all(number % prime for prime in primes):
        primes.append(number)

print("Python", platform.python_version(), "on Linux", os.uname().release)
print(*primes)
"""
AT_WORK = (
    "while True: pass",
    "import time\nheld = b'x' * (48 << 20)\ntime.sleep(60)",
    "import time\nwhile True:\n    print('x' * 20_000)\n    time.sleep(0.2)",
)
"""What the VMs of the picture do: count, hold memory, print."""

_HISTORY = re.compile(r"CPU .*[▁▂▃▄▅▆▇█]{12}")
_MEASURED = re.compile(r"running +\d+ s +\d+ +\d+M")
# Textual's pictures fetch a font from another host; a picture in a README must not, and shows without it.
_FONT_FACES = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)


class Album:
    """Pictures in a folder, none of which may tell where it was taken."""

    def __init__(self, driven: Driven, folder: Path, secrets: Sequence[str]) -> None:
        self._driven = driven
        self._folder = folder
        self._secrets = secrets

    async def take(self, name: str) -> None:
        """Raises ValueError where the screen shows what is the builder's own, or is too large for a page."""
        await self._driven.pilot.pause()
        text = self._driven.text
        if shown := [secret for secret in self._secrets if re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text)]:
            raise ValueError(f"{name} shows {shown}:\n{text}")
        picture = _FONT_FACES.sub("", self._driven.app.export_screenshot(title="vmdeck"))
        if len(picture.encode()) > MOST_BYTES:
            raise ValueError(f"{name} has {len(picture.encode()):,} bytes, over {MOST_BYTES:,}")
        (self._folder / f"{name}.svg").write_text(picture)


async def walk(settings: Settings, folder: Path) -> None:
    """One visit to the console, with a picture at each place worth one."""
    engine = Engine(settings, caller="console")
    app = ConsoleApp(connection_to(engine), tick_s=0.5)
    async with driving(app, SIZE) as driven:
        album = Album(driven, folder, (socket.gethostname(), str(settings.data_dir.parent), str(Path.home())))
        await driven.until(lambda: app.last_health is not None, within_s=WITHIN_S)
        await first_run(driven)
        await album.take("setup")
        await scratchpad(driven)
        await album.take("scratchpad")
        app.theme = "vmdeck-light"
        await album.take("scratchpad-light")
        app.theme = "vmdeck-dark"
        async with at_work(engine):
            await driven.press("escape", "2")
            await driven.until(lambda: len(_MEASURED.findall(driven.text)) == len(AT_WORK), within_s=WITHIN_S)
            await album.take("vms")
            await driven.press("1")
            await driven.until(lambda: _HISTORY.search(driven.text) and "p95" in driven.text, within_s=WITHIN_S)
            await driven.until(lambda: " ok ─" in driven.text, within_s=WITHIN_S)
            await album.take("overview")


async def first_run(driven: Driven) -> None:
    """The wizard's last stage but one, on a host on which all else is there."""
    await driven.press("8")
    await driven.until(lambda: "Everything is ready." in driven.text, within_s=WITHIN_S)
    await driven.press("enter")
    await driven.until(lambda: "✓ success" in driven.text, within_s=WITHIN_S)


async def scratchpad(driven: Driven) -> None:
    await driven.press("5")
    await driven.until(lambda: "import platform" in driven.text, within_s=WITHIN_S)
    driven.app.screen.query_one(CodeEditor).load_text(CODE)
    await driven.press("ctrl+r")
    await driven.until(lambda: "✓ success" in driven.text, within_s=WITHIN_S)


@asynccontextmanager
async def at_work(engine: Engine) -> AsyncIterator[None]:
    """VMs that do something, until it is left."""

    async def run(code: str) -> None:
        async for _ in engine.stream(RunRequest(language="python", code=code, timeout=60)):
            pass

    runs = [asyncio.create_task(run(code)) for code in AT_WORK]
    try:
        yield
    finally:
        for each in runs:
            each.cancel()
        await asyncio.gather(*runs, return_exceptions=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as own, made_lab(Settings(), max_running=4) as settings:
        # The pictures show no theme and no buffer of whoever takes them.
        os.environ |= {"VMDECK_CONFIG_DIR": own, "XDG_STATE_HOME": own}
        asyncio.run(walk(settings, folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
