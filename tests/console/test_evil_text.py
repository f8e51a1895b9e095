"""The evil corpus goes through every view that shows a stranger's text, and comes out harmless."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from console.plain import plain
from console.setup_walk import Stage, spec
from console.widgets.walk_trail import WalkTrail
from engine.models import BootStage, Figure, RunEvent, RunRequest, VmDetail
from tests.console.driving import Driven, console, driving
from tests.console.evil import EVIL
from tests.console.fake_engine import FakeEngine, typical
from tests.console.past_samples import run
from tests.console.samples import CHECKS, IMAGES, JOBS, SNAPSHOTS, STEPS, result, vm
from tests.console.vms_samples import FAILED_RUNS

ALL = "\n".join(EVIL.values())


def harmless(driven: Driven) -> None:
    text = driven.text.replace("\n", "")
    assert plain(text) == text


def evil_engine(evil: str) -> FakeEngine:
    engine = typical()
    engine.checks = tuple(
        check.model_copy(update=dict.fromkeys(("title", "seen", "why", "remedy"), evil)) for check in CHECKS[:2]
    )
    engine.vm_list = (vm(0, id=evil, language=evil, trace_id=evil, image=evil, snapshot=evil, purpose=evil),)
    engine.image_list = (
        IMAGES[0].model_copy(
            update={"name": evil, "source": evil, "problem": evil, "languages": (evil,), "env": {evil: evil}}
        ),
    )
    engine.snapshot_list = (SNAPSHOTS[1].model_copy(update={"name": evil, "image": evil, "problem": evil}),)
    engine.job_list = (JOBS[1].model_copy(update={"title": evil, "error": evil, "remedy": evil}),)
    engine.job_lines = tuple(EVIL.values())
    texts = ("trace_id", "language", "outcome", "boot", "vmm", "vm_id", "image", "snapshot", "error")
    engine.past = (run(1, **dict.fromkeys(texts, evil)),)
    open_step = next(step for step in STEPS if not step.settled)
    engine.steps = (open_step.model_copy(update={"title": evil, "why": evil, "would": (evil,)}),)
    return engine


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize("evil", [ALL, EVIL["markup"], EVIL["right to left"]], ids=["all", "markup", "bidi"])
async def test_every_view_shows_evil_text_harmlessly(evil: str, size: tuple[int, int]) -> None:
    app = console(evil_engine(evil))
    async with driving(app, size) as driven:
        for digit in "123467":
            await driven.press(digit)
            await driven.until(lambda: driven.table.keys, "rows")
            harmless(driven)
            await driven.press("enter")
            await driven.until(lambda: len(app.screen_stack) == 2)
            harmless(driven)
            await driven.press("escape")
            await driven.until(lambda: len(app.screen_stack) == 1)
        await driven.press("1", "S")
        await driven.sees("seen just now")
        for stage in Stage:
            app.screen.query_one(WalkTrail).post_message(WalkTrail.Chosen(stage))
            await driven.sees(spec(stage).about)
            harmless(driven)


@pytest.mark.parametrize("evil", [ALL, EVIL["markup"], EVIL["right to left"]], ids=["all", "markup", "bidi"])
async def test_every_section_of_a_vm_shows_evil_text_harmlessly(evil: str) -> None:
    engine = evil_engine(evil)
    figures = (Figure(name=evil, value=evil, used=evil),)
    engine.details = {
        evil: VmDetail(
            vm=engine.vm_list[0],
            series=(),
            stages=(BootStage(name=evil, ms=1), BootStage(name="load", ms=2)),
            limits=figures,
            vmm=figures,
            guest=figures,
            missing=(evil,),
        )
    }
    engine.serial = {evil: tuple(text.encode(errors="replace").decode() for text in EVIL.values())}
    app = console(engine)
    copied: list[str] = []
    app.copy = lambda text, what: copied.append(text)
    async with driving(app) as driven:
        await driven.mode("2", "1 VM")
        await driven.press("enter")
        await driven.until(lambda: driven.app.screen.query(".section"))
        for _ in range(7):
            await driven.pilot.pause()
            harmless(driven)
            await driven.press("y", "right_square_bracket")
        await driven.press("K")
        await driven.sees("Cancel")
        harmless(driven)
    assert len(copied) == 7
    for text in copied:
        lines = text.replace("\t", "\n").split("\n")
        assert [plain(line) for line in lines] == lines


async def test_evil_words_of_past_runs_are_shown_harmlessly() -> None:
    engine = evil_engine(ALL)
    engine.past = tuple(
        FAILED_RUNS[0].model_copy(update={"trace_id": evil, "language": evil, "outcome": evil, "error": evil})
        for evil in (ALL, EVIL["markup"])
    )
    async with driving(console(engine), (200, 50)) as driven:
        await driven.until(lambda: driven.table.keys, "rows")
        await driven.sees("Failed")
        await driven.until(lambda: engine.queries, "the runs asked for")
        await driven.pilot.pause()
        harmless(driven)


async def test_evil_output_is_shown_harmlessly_and_does_not_stop_the_run() -> None:
    async def script(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
        for stream in ("stdout", "stderr"):
            for text in EVIL.values():
                yield RunEvent.model_construct(kind=stream, text=text + "\n")
        yield RunEvent(kind="result", trace_id="r-1", at_ms=1, result=result())

    engine = typical()
    engine.script = script
    async with driving(console(engine), (200, 50)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("success")
        harmless(driven)
        assert "<U+202E>" in driven.output.text
        assert "\x1b" not in driven.output.text


async def test_a_sequence_torn_between_pieces_is_still_harmless() -> None:
    async def script(engine: FakeEngine, request: RunRequest) -> AsyncIterator[RunEvent]:
        for char in "\x1b]0;owned\x07\x1b[31mred\n":
            yield RunEvent.model_construct(kind="stdout", text=char)
        yield RunEvent(kind="result", trace_id="r-1", at_ms=1, result=result())

    engine = typical()
    engine.script = script
    async with driving(console(engine)) as driven:
        await driven.mode("5", "Python")
        await driven.press("ctrl+r")
        await driven.sees("success")
        assert driven.output.text == " ␛]0;owned␇red"
