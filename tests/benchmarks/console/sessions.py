"""Consoles and busy engines to measure: started, looked at, ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.terminal import Link, TerminalProgram

ROOT = Path(__file__).parents[3]
_VMDECK = Path(sys.executable).with_name("vmdeck")
_ENVIRON = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
_FAST = Link()
_NOT_HERE = (
    *("COLORTERM", "NO_COLOR", "TMUX", "SSH_CONNECTION", "SSH_TTY", "TEXTUAL_COLOR_SYSTEM"),
    "PYTHONDONTWRITEBYTECODE",  # what is installed has its bytecode
)


def environ(folder: Path) -> dict[str, str]:
    """256 colours, and no preferences of whoever measures."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HERE}
    own = {f"VMDECK_{name}_DIR": str(folder) for name in ("CONFIG", "DATA", "RUNTIME")}
    return {**kept, **_ENVIRON, **own, "XDG_STATE_HOME": str(folder / "state")}


@contextmanager
def busy_engine(vms: int) -> Generator[tuple[Path, int]]:
    """Socket and process id of an engine with so many VMs."""
    with tempfile.TemporaryDirectory(prefix="vmdeck-bench-") as made:
        folder = Path(made)
        command = [sys.executable, "-m", "tests.benchmarks.console.busy_engine", str(folder / "engine.sock"), str(vms)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environ(folder))
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise OSError("the engine to measure against did not start")
            yield folder / "engine.sock", process.pid
        finally:
            process.kill()
            process.wait()


@contextmanager
def console(
    socket: Path,
    *,
    size: tuple[int, int] = (80, 24),
    link: Link = _FAST,
    tick_s: float | None = None,
) -> Generator[TerminalProgram]:
    """A console attached to ``socket``, on a terminal with 256 colours: ``vmdeck`` as it is started, but for
    ``tick_s``, which operators have no word for."""
    command = [str(_VMDECK)]
    if tick_s is not None:
        command = [sys.executable, "-m", "tests.benchmarks.console.subject", str(socket), str(tick_s)]
    os.chdir(ROOT)
    variables = environ(socket.parent)
    with TerminalProgram(
        ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), *command], size=size, link=link
    ) as program:
        yield program
