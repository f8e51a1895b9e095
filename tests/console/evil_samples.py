"""An engine whose every text is evil: names, errors, reasons, logs, output."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TypeVar, get_type_hints

from engine.models import BootStage, Figure, RunEvent, RunRequest, ServiceState, SetupTrace, Value, VmDetail
from tests.console.evil import EVIL
from tests.console.fake_engine import IDENTITY, FakeEngine, typical
from tests.console.past_samples import run
from tests.console.samples import CHECKS, IMAGES, JOBS, LANGUAGES, NOW, SNAPSHOTS, STEPS, result, vm
from tests.console.settings_samples import SETTINGS
from tests.console.vms_samples import FAILED_RUNS

V = TypeVar("V", bound=Value)


def spoiled(value: V, evil: str, **others: object) -> V:
    """With ``evil`` in each field that holds text of any kind."""
    texts: dict[object, object] = {
        str: evil,
        str | None: evil,
        tuple[str, ...]: (evil, evil),
        dict[str, str]: {evil: evil},
    }
    hints = get_type_hints(type(value))
    return value.model_copy(update={name: texts[hint] for name, hint in hints.items() if hint in texts} | others)


async def evil_output(engine: FakeEngine, request: RunRequest) -> AsyncGenerator[RunEvent]:
    for stream in ("stdout", "stderr"):
        for text in EVIL.values():
            yield RunEvent.model_construct(kind=stream, text=text + "\n", item=0)
        for char in "\x1b]0;torn\x07":
            yield RunEvent.model_construct(kind=stream, text=char, item=0)
    yield RunEvent(kind="result", trace_id="r-1", at_ms=1, result=result())


def evil_engine(evil: str) -> FakeEngine:
    engine = typical()
    encodable = evil.encode(errors="replace").decode()
    engine.checks = tuple(spoiled(check, evil, id=f"{number}") for number, check in enumerate(CHECKS))
    engine.vm_list = (spoiled(vm(0), evil),)
    engine.image_list = (spoiled(IMAGES[0], evil),)
    engine.snapshot_list = tuple(spoiled(each, evil, name=f"{evil}{at}") for at, each in enumerate(SNAPSHOTS))
    engine.language_list = (spoiled(LANGUAGES[0], encodable, id=LANGUAGES[0].id), spoiled(LANGUAGES[1], encodable))
    engine.job_list = tuple(spoiled(job, evil, id=f"{evil}{at}") for at, job in enumerate(JOBS))
    engine.job_lines = tuple(EVIL.values())
    engine.past = tuple(spoiled(each, evil, id=at) for at, each in enumerate((run(1), FAILED_RUNS[0]), 1))
    engine.past_requests = {evil: RunRequest(language=LANGUAGES[0].id, code=encodable)}
    engine.steps = tuple(spoiled(step, evil, id=step.id, needs=()) for step in STEPS)
    engine.setting_list = tuple(spoiled(each, encodable, name=f"{encodable}{at}") for at, each in enumerate(SETTINGS))
    engine.service_state = ServiceState(systemd=True, installed=True, seen=evil, addresses=(evil,), actions=("stop",))
    engine.traces = (SetupTrace(step=evil, kind="file", what=evil, at=NOW),)
    engine.identity = spoiled(IDENTITY, evil)
    engine.script = evil_output
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
    return engine
