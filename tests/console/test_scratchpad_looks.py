"""How the scratchpad and its dialogs look. The clock stands still and nothing blinks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from console.live_run import Phase
from console.outcome import Outcome
from console.scratch.past import PastEntry
from console.screens.scratchpad import ScratchpadScreen
from console.terminal import Terminal
from engine.models import Limits, RunEvent, RunRequest, SourceFile
from tests.console.conftest import Looks
from tests.console.driving import Before, Driven, console, steps
from tests.console.fake_engine import STATES, lost, typical
from tests.console.samples import NOW, result
from tests.console.scratch_bench import echo

SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}
IN = (["5"], "import platform")
RUN = steps(IN, (["ctrl+r"], "peak memory"))
LONG = "".join(f"line {number} of a program that is longer than any screen\n" for number in range(400))
FULL = RunRequest(
    language="python",
    code=LONG,
    files=tuple(SourceFile(path=f"package/module_{number:02}.py", content="x = 1\n") for number in range(20)),
    args=("--verbose", "two words"),
    stdin=("first\n", "second\n", "third\n"),
    env={"GREETING": "hello", "MODE": "test"},
    limits=Limits(timeout_s=2.5, pids=32, stdout_bytes=65536),
    memory_mib=512,
    boot="snapshot",
    snapshot="python-256m-1cpu",
)


def past(code: str, minutes: int, *, status: str = "success", output: str = "Hello\n") -> PastEntry:
    """A run of some minutes ago."""
    outcome = Outcome.single(RunRequest(language="python", code=code))
    (run,) = outcome.runs
    run.take(RunEvent(kind="stdout", trace_id="r-1", at_ms=1, text=output))
    done = result(status=status, exit_code=0 if status == "success" else 1)
    run.take(RunEvent(kind="result", trace_id="r-1", at_ms=2, result=done))
    outcome.phase = Phase.ENDED
    return PastEntry.of(outcome, NOW - timedelta(minutes=minutes))


def full(then: Before | None = None) -> Before:
    """The scratchpad with more of everything than fits."""

    async def before(driven: Driven) -> None:
        await steps(IN)(driven)
        driven.app.open_in_scratchpad(FULL)
        await driven.sees("line 3 of a program")
        if then is not None:
            await then(driven)

    return before


def with_history(then: Before) -> Before:
    async def before(driven: Driven) -> None:
        await steps(IN)(driven)
        screen = driven.app.screen
        assert isinstance(screen, ScratchpadScreen)
        for entry in (
            past("print('Hello')\n", 3),
            past("import os\nprint(os.environ)\n", 62, status="failed", output="Traceback\nKeyError\n"),
            past("print('Hello')\n# again\n", 1500, output="Hello\nthere\n"),
        ):
            screen.past.add(entry)
        await then(driven)

    return before


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("state", ["empty", "typical"])
def test_at_first(looks_as_before: Looks, state: str, size: tuple[int, int]) -> None:
    assert looks_as_before(console(STATES[state]()), size=size, before=steps(IN))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_full(looks_as_before: Looks, size: tuple[int, int]) -> None:
    assert looks_as_before(console(typical()), size=size, before=full())


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_run(looks_as_before: Looks, size: tuple[int, int]) -> None:
    assert looks_as_before(console(typical()), size=size, before=RUN)


@pytest.mark.parametrize("theme", ["high-contrast", "vmdeck-16", "vmdeck-mono"])
def test_run_in_other_themes(looks_as_before: Looks, theme: str) -> None:
    app = console(typical())
    app.theme = theme
    assert looks_as_before(app, before=RUN)


def test_without_colour_and_unicode(looks_as_before: Looks) -> None:
    app = console(typical(), terminal=Terminal(no_colour=True, ascii_only=True))
    assert looks_as_before(app, before=RUN)


def test_run_that_fails(looks_as_before: Looks) -> None:
    engine = typical()
    engine.script = lost
    assert looks_as_before(console(engine), before=steps(IN, (["ctrl+r"], "Internal fault")))


def test_folded_form_with_a_value_that_is_wrong(looks_as_before: Looks) -> None:
    before = steps(IN, (["escape", "e"], "NAME=VALUE"), (["tab", "tab", "tab", *"soon", "ctrl+r"], "must be a number"))
    assert looks_as_before(console(typical()), before=before)


OVER: dict[str, Before] = {
    "language": steps(IN, (["ctrl+t"], "Forth")),
    "files": full(steps((["escape", "f"], "module_03"))),
    "inputs": full(steps((["escape", "b"], "3 inputs"))),
    "buffers": full(steps((["escape", "o"], "Open buffers"))),
    "copy": steps(IN, (["escape", "y"], "curl line")),
    "open": steps(IN, (["ctrl+o"], "Open file")),
    "history": with_history(steps((["escape", "h"], "3 entries"))),
    "difference": with_history(
        steps((["escape", "h"], "3 entries"), (["v"], "*"), (["j", "j", "v", "d"], "they differ"))
    ),
}


@pytest.mark.parametrize("size", [SIZES["80x24"], SIZES["200x50"]], ids=["80x24", "200x50"])
@pytest.mark.parametrize("before", OVER.values(), ids=OVER.keys())
def test_dialog(looks_as_before: Looks, before: Before, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.screens.scratch_dialogs._here", lambda: "/root/")
    assert looks_as_before(console(typical()), size=size, before=before)


SERIES: dict[str, Before] = {
    "compare": steps(IN, (["escape", "c"], "2 of 2 with success")),
    "batch": full(steps((["escape", "b"], "3 inputs"), (["ctrl+r"], "3 of 3 with success"))),
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("before", SERIES.values(), ids=SERIES.keys())
def test_series(looks_as_before: Looks, before: Before, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outcome, "elapsed_s", 3.0)
    engine = typical()
    engine.script = echo
    assert looks_as_before(console(engine), size=size, before=before)
