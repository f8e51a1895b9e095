"""A shell in a window of tmux, driven and read from outside as an operator's: keys go in, the screen comes out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.settings import Settings
from tests.terminal import TerminalProgram

WITHIN_S = 30.0
PROMPT = "shell of the test $ "
_LOOK_AGAIN_S = 0.05


def require_tmux() -> None:
    """Skips, with the reason, where there is no tmux; in CI there must be one."""
    if shutil.which("tmux") is None:
        reason = "no tmux here (Debian package tmux; ./taskw test installs it as root)"
        if os.environ.get("CI"):
            pytest.fail(f"CI must have it: {reason}")
        pytest.skip(reason)


class Window:
    """The only window of a tmux server of its own."""

    def __init__(self, home: Path) -> None:
        self._tmux = ("tmux", "-u", "-f", "/dev/null", "-S", str(home / "tmux"))
        self.size = (80, 24)

    @classmethod
    @contextmanager
    def opened(cls, lab: Settings, state: Path) -> Iterator[Window]:
        """A shell over the folders of ``lab``, in 80 columns and 24 rows; in ``state`` is what a console remembers.

        The server, and all in it, is ended at last.
        """
        window = cls(lab.data_dir.parent)
        environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "PS1": PROMPT,
            "VMDECK_DATA_DIR": str(lab.data_dir),
            "VMDECK_RUNTIME_DIR": str(lab.runtime_dir),
            "XDG_STATE_HOME": str(state),
        }
        kept = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TERM", "NO_COLOR", "ENV")}
        subprocess.run(
            [*window._tmux, "new-session", "-d", "-x", "80", "-y", "24", "bash", "--norc", "--noprofile"],
            env={**kept, **environ},
            check=True,
            timeout=WITHIN_S,
        )
        try:
            window.sees(PROMPT.rstrip())
            yield window
        finally:
            if window.lives:
                window._do("kill-server")

    def _do(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True, timeout=WITHIN_S)
        return done.stdout

    @property
    def lives(self) -> bool:
        """Whether the server is there."""
        asked = subprocess.run([*self._tmux, "list-sessions"], capture_output=True, check=False, timeout=WITHIN_S)
        return asked.returncode == 0

    # --- what a person does

    def press(self, *keys: str) -> None:
        """Keys by tmux's names, each in a write of its own: Escape and a key in one are alt and that key."""
        for key in keys:
            self._do("send-keys", key)

    def type(self, text: str) -> None:
        self._do("send-keys", "-l", "--", text)

    def resize(self, columns: int, rows: int) -> None:
        self._do("resize-window", "-x", str(columns), "-y", str(rows))
        self.size = (columns, rows)

    @contextmanager
    def attached(self) -> Iterator[TerminalProgram]:
        """A client of the server, on a terminal as large as the window."""
        with TerminalProgram([*self._tmux, "attach"], size=self.size, environ={"TERM": "xterm-256color"}) as client:
            yield client

    def detach(self, client: TerminalProgram) -> None:
        self._do("detach-client")
        assert client.exit_code(WITHIN_S) == 0

    # --- what a person sees

    @property
    def screen(self) -> str:
        return self._do("capture-pane", "-p")

    def sees(self, *words: str, within_s: float = WITHIN_S) -> str:
        return self.until(lambda screen: all(word in screen for word in words), f"{words} on the screen", within_s)

    def sees_no(self, *words: str, within_s: float = WITHIN_S) -> str:
        return self.until(lambda screen: not any(word in screen for word in words), f"no {words}", within_s)

    def until(self, condition: Callable[[str], bool], what: str, within_s: float = WITHIN_S) -> str:
        """Wait for a screen of which the condition holds, and return it. It fits the window."""
        end = time.monotonic() + within_s
        while not condition(screen := self.screen):
            assert time.monotonic() < end, f"never came: {what}; the screen was\n{screen}"
            time.sleep(_LOOK_AGAIN_S)
        columns, rows = self.size
        lines = screen.splitlines()
        assert len(lines) <= rows
        assert max(cell_len(line) for line in lines) <= columns, screen
        return screen
