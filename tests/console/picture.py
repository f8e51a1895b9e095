"""The picture in the README: the console after a run in a real microVM. ``python -m tests.console.picture FILE``."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

from console.app import ConsoleApp
from console.connection import Connection
from console.widgets.code_editor import CodeEditor
from engine.engine import Engine
from engine.settings import Settings
from tests.console.driving import driving
from tests.lab import made_lab

SIZE = (100, 28)
CODE = """\
import os, platform

primes = []
for number in range(2, 100):
    if all(number % prime for prime in primes):
        primes.append(number)

print("Python", platform.python_version(), "on Linux", os.uname().release)
print(*primes)
"""
# Textual's pictures fetch a font from another host; a picture in a README must not, and shows without it.
_FONT_FACES = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)


async def take(settings: Settings) -> str:
    """Run the code in the scratchpad of a real console; its screen as SVG."""
    app = ConsoleApp(Connection(lambda: Engine(settings)))
    async with driving(app, SIZE) as driven:
        await driven.mode("5", "import platform")
        app.screen.query_one(CodeEditor).load_text(CODE)
        await driven.press("ctrl+r")
        await driven.sees("success")
        await driven.pilot.pause()
        return _FONT_FACES.sub("", app.export_screenshot(title="vmdeck"))


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as config, made_lab(Settings()) as settings:
        os.environ["VMDECK_CONFIG_DIR"] = config  # the picture shows no theme of whoever takes it
        picture = asyncio.run(take(settings))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
