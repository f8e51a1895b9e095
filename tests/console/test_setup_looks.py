"""How the setup wizard looks at each stage, from the smallest usual size to a large one."""

from __future__ import annotations

import pytest

from console.app import ConsoleApp
from engine.models import JobState
from tests.console.conftest import Looks
from tests.console.driving import SIZES, Before, Driven, console, steps
from tests.console.setup_samples import SetupHost, bare, half_done, ready

EVERY_SIZE = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
LOOKED = "seen just now"
TO_PLAN: tuple[tuple[list[str], str], ...] = ((["8"], LOOKED), (["enter"], "required"), (["enter"], "Host packages"))
STAGES: dict[str, Before] = {
    "welcome": steps((["8"], LOOKED)),
    "checks": steps(*TO_PLAN[:2]),
    "plan": steps(*TO_PLAN),
    "left-out": steps(*TO_PLAN, (["space"], "held up")),
    "confirm": steps(*TO_PLAN, (["A"], "Cancel")),
    "options": steps(*TO_PLAN, (["o"], "Firecracker")),
}


def fast(engine: SetupHost) -> ConsoleApp:
    return console(engine, tick_s=0.05)


async def applying(driven: Driven) -> SetupHost:
    """A bare host, in the middle of what was agreed to."""
    await STAGES["plan"](driven)
    engine = driven.app.connection.api
    assert isinstance(engine, SetupHost)
    await driven.press("enter", "right", "enter")
    await driven.until(lambda: engine.asked)
    engine.do("packages")
    engine.log("Docker engine", step="Docker engine", fraction=0.33)
    engine.log("Get:1 http://deb.debian.org/debian bookworm/main amd64 docker.io amd64 20.10.24 [36.2 MB]")
    await driven.sees("● doing")
    await driven.sees("✓ done      Host packages")
    await driven.sees("Get:1 http://deb.debian.org")
    await driven.sees(LOOKED)
    return engine


async def failed(driven: Driven) -> None:
    engine = await applying(driven)
    engine.log("E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?")
    engine.do("kernel")
    engine.end(
        JobState.FAILED,
        "Setup failed at docker: apt-get ended with 100: E: Unable to fetch some archives",
        "Look at the sources of apt, or leave Docker out",
    )
    await driven.sees("enter tries again")
    await driven.sees(LOOKED)


async def in_the_middle(driven: Driven) -> None:
    await applying(driven)


async def after_the_run(driven: Driven) -> None:
    await steps((["8"], "Everything is ready."), (["enter"], "success  exit 0"))(driven)


async def done(driven: Driven) -> None:
    await after_the_run(driven)
    await driven.press("enter")
    await driven.sees("Where things stand")


@EVERY_SIZE
@pytest.mark.parametrize("before", STAGES.values(), ids=STAGES.keys())
def test_bare_host(looks_as_before: Looks, before: Before, size: tuple[int, int]) -> None:
    assert looks_as_before(console(bare()), size=size, before=before)


@EVERY_SIZE
@pytest.mark.parametrize("before", [in_the_middle, failed], ids=["applying", "failed"])
def test_work(looks_as_before: Looks, before: Before, size: tuple[int, int]) -> None:
    assert looks_as_before(fast(bare()), size=size, before=before)


@EVERY_SIZE
def test_first_image(looks_as_before: Looks, size: tuple[int, int]) -> None:
    assert looks_as_before(console(half_done()), size=size, before=steps((["8"], "enter makes it")))


@EVERY_SIZE
def test_choice_of_languages(looks_as_before: Looks, size: tuple[int, int]) -> None:
    before = steps((["8"], "enter makes it"), (["o", "G", "space"], "space marks"))
    assert looks_as_before(console(half_done()), size=size, before=before)


@EVERY_SIZE
@pytest.mark.parametrize(
    "before", [steps((["8"], "Everything is ready.")), after_the_run, done], ids=["ready", "ran", "done"]
)
def test_ready_host(looks_as_before: Looks, before: Before, size: tuple[int, int]) -> None:
    assert looks_as_before(console(ready()), size=size, before=before)


def test_undo(looks_as_before: Looks) -> None:
    before = steps((["8"], "Everything is ready."), (["U"], "qemu-system-x86"))
    assert looks_as_before(console(ready()), before=before)


def test_read_only(looks_as_before: Looks) -> None:
    assert looks_as_before(console(bare(), read_only=True), before=STAGES["welcome"])
