"""The console as an operator has it: `vmdeck` typed into a shell in tmux, driven by keys alone, read as text alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from engine.client import RemoteEngine
from engine.models import EngineIdentity
from engine.settings import Settings
from tests.hostile.remains import remains
from tests.integration.console.tmux import PROMPT, Window, require_tmux

pytestmark = pytest.mark.vm
SNAPSHOT_S = 120.0
RUN_S = 60.0
ENGINE_ENDS_S = 40.0
"""Its grace after the last console, and what a busy machine adds."""

AREAS = {
    "2": ("2 VMs", "No VM is alive.", "K Kill"),
    "3": ("3 Images", "✓ usable", "b Build"),
    "4": ("4 Snapshots", "python-256m-1c", "n New"),
    "6": ("6 Jobs", "STATE", "X Cancel"),
    "7": ("7 Runs", "LANGUAGE", "w Export"),
    "9": ("9 Settings", "data_dir", "e Edit"),
    "8": ("8 Setup", "Welcome", "r Look again"),
    "1": ("1 Overview", "SEVERITY", "S Set up"),
}
"""What each shows that no other does."""


@pytest.fixture
def window(lab: Settings, tmp_path: Path) -> Iterator[Window]:
    """A shell in tmux over folders with kernel, initramfs and image, and with snapshots."""
    require_tmux()
    with Window.opened(lab, tmp_path / "state") as window:
        yield window


def open_console(window: Window, lab: Settings) -> EngineIdentity:
    """Type the command, wait for the first figures, and tell whose they are."""
    window.type("vmdeck")
    window.press("Enter")
    window.sees("1 Overview", " own ", "SEVERITY", "Running 0 of")
    return asyncio.run(_identity(lab))


async def _identity(lab: Settings) -> EngineIdentity:
    async with RemoteEngine(lab.socket_path) as engine, aclosing(engine.attach()) as beats:
        return await anext(beats)


def leave(window: Window, lab: Settings, engine: EngineIdentity) -> None:
    """Quit, and leave the shell too: soon nothing is left on this machine."""
    window.press("q")
    before = [*PROMPT.split(), "vmdeck", *PROMPT.split()]
    window.until(lambda screen: screen.split() == before, "the shell's screen as it was before")
    window.type("exit")
    window.press("Enter")
    eventually(lambda: not window.lives)
    eventually(lambda: not Path(f"/proc/{engine.pid}").exists(), ENGINE_ENDS_S)
    assert not lab.socket_path.exists()
    assert remains(lab) == []
    assert not list(Path("/sys/fs/cgroup").rglob(f"*vmdeck*{engine.id}*"))


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_from_a_host_without_a_snapshot_to_code_that_ran_was_cancelled_and_is_found_again(
    lab: Settings, window: Window
) -> None:
    for snapshot in lab.snapshots_dir.iterdir():
        snapshot.unlink()
    lab.runtime_dir.mkdir(mode=0o755)
    engine = open_console(window, lab)
    window.sees("! Degraded", "Python snapshot")

    walk_through_setup(window)
    run_what_is_typed(window)
    cancel_an_endless_run(window)
    find_it_in_history(window)
    leave(window, lab, engine)


def walk_through_setup(window: Window) -> None:
    """Plan, question, first snapshot, first run, and the example in the scratchpad."""
    window.press("8")
    window.sees("Make this host ready", "seen just now", "enter goes on")
    window.press("Enter")
    window.sees("What this host offers", "Python snapshot")
    window.press("Enter")
    window.sees("What setup would do", "○ to do     Data folders", "○ to do     Warm snapshot")
    window.press("Enter")
    window.sees("Apply 1 step?", "Nothing of the system itself is changed.", "Cancel")
    window.press("Tab", "Enter")
    window.sees("A first snapshot", "enter makes it")
    window.press("Enter")
    window.sees("A first run", "✓ Everything is ready.", within_s=SNAPSHOT_S)
    window.press("Enter")
    window.sees("✓ success  exit 0", "Hello from Python 3.", "restore ", within_s=RUN_S)
    window.press("Enter")
    window.sees("Where things stand", "success, exit 0", "a VM from its snapshot")
    window.press("Enter")
    window.sees("5 Scratchpad", "import platform", "warm")


def run_what_is_typed(window: Window) -> None:
    """Code, input and arguments go in by keys; output, status and timings come out."""
    window.sees("esc Leave field")
    window.type("args = __import__('sys').argv[1:]; print(sorted(args, key=len))")
    window.press("Enter", "Escape")
    window.sees("e Input")
    window.press("e")
    window.sees("what the code reads, if anything")
    window.type("typed by a person")
    window.sees("stdin 1 line")
    window.press("Tab")
    window.type("three 'two words'")
    window.sees("args  stdin 1 line")
    window.press("C-r")
    screen = window.sees("✓ success  exit 0", "1 typed by a person", "restore", "resync", within_s=RUN_S)
    assert "['three', 'two words']" in screen


def cancel_an_endless_run(window: Window) -> None:
    window.press("Escape")
    window.sees("i Edit")
    window.press("i")
    window.sees("esc Leave field")
    window.type("print('for ever', flush=True)")
    window.press("Enter")
    window.type("while True: pass")
    window.press("Enter", "C-r")
    window.sees("for ever", "◐ ", within_s=RUN_S)
    window.press("C-g")
    window.sees("cancelled", within_s=RUN_S)


def find_it_in_history(window: Window) -> None:
    window.press("Escape")
    window.sees("h History")
    window.press("h")
    screen = window.sees("History of the scratchpad", "2 entries")
    assert screen.index("cancelled") < screen.index("✓ success"), "the newest is first"
    window.press("Down", "Enter")
    window.sees_no("History of the scratchpad")
    window.sees("args = __import__", "1 typed by a person")


def test_all_areas_in_windows_of_all_sizes_left_and_come_back_to(lab: Settings, window: Window) -> None:
    engine = open_console(window, lab)
    look_around(window)
    jump(window)
    resize(window)
    go_and_come_back(window)
    leave(window, lab, engine)


def look_around(window: Window) -> None:
    """Each area by its digit; what is painted over what was there before leaves nothing of it."""
    for digit, words in AREAS.items():
        window.press(digit)
        window.sees(*words)
    window.press("5")
    window.sees("5 Scratchpad", "import platform", "esc Leave field")
    window.press("Escape")
    window.sees("i Edit")


def jump(window: Window) -> None:
    window.press(":")
    window.sees("Palette", "find")
    window.type("vms")
    window.press("Enter")
    window.sees("2 VMs", "No VM is alive.")
    window.press("?")
    window.sees("Keys", "End the VM or all marked, after a question")
    window.press("Escape")
    window.sees_no("End the VM or all marked")


def resize(window: Window) -> None:
    window.press("9")
    before = window.sees("9 Settings", "data_dir", "enter Detail")
    window.resize(200, 50)
    window.sees(" 1 Overview  2 VMs  3 Images  4 Snapshots ", "data_dir")
    window.resize(60, 16)
    window.sees("9 Settings", "data_dir")
    window.resize(59, 15)
    window.sees("vmdeck needs 60 x 16", "here: 59 x 15")
    window.resize(80, 24)
    assert window.sees("9 Settings", "data_dir", "enter Detail") == before
    assert painted_anew(window) == before


def painted_anew(window: Window) -> str:
    """The screen after all of it was painted once more, so that what was left on it by accident is gone."""
    window.press("C-l", "?")
    window.sees("Keys")
    window.press("Escape")
    return window.sees_no("Keys")


def go_and_come_back(window: Window) -> None:
    before = window.screen
    with window.attached() as first:
        first.sees("9 Settings")
        first.type("4")
        first.sees("4 Snapshots")
        window.detach(first)
    window.sees("python-256m-1c")
    with window.attached() as second:
        second.sees("python-256m-1c")
        second.type("9")
        second.sees("9 Settings")
        window.detach(second)
    assert window.sees("9 Settings", "data_dir", "enter Detail") == before
