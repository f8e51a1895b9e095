"""One run, start to finish: wait for a place, lease a guest, execute, tell the outcome."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from engine.errors import InternalError, OutcomeUnknownError, VmdeckError
from engine.guestlink.guest import GuestFile, Program
from engine.guestlink.messages import Exit, Output
from engine.models import (
    BatchResult,
    CompileResult,
    RunEvent,
    RunRequest,
    RunResult,
    RunStatus,
    Timings,
    Truncated,
    Usage,
    VmmChoice,
    VmRef,
    VmState,
)
from engine.runs.admission import Admission
from engine.runs.lease import Lease, ReplacedError, Start, lease
from engine.runs.outcome import KILLED_CODE, Transcript, compile_result, duration_text, verdict
from engine.runs.outlet import Outlet
from engine.runs.plan import Plan
from engine.settings import Settings
from engine.vmm.fleet import Fleet, VmPurpose

Planner = Callable[[RunRequest, str | None], Awaitable[tuple[Plan, Start]]]
OnEnd = Callable[[RunRequest, str, int, RunResult | VmdeckError], Awaitable[None]]


@dataclass(slots=True)
class _Run:
    """What is known of one run while it goes on. Times are the loop's, in seconds."""

    request: RunRequest
    item: int
    outlet: Outlet
    began: float
    trace_id: str = field(default_factory=lambda: secrets.token_hex(8))
    placed: float = 0.0
    first_output: float | None = None
    exec_ms: float = 0.0
    transcript: Transcript = field(default_factory=Transcript)
    compile: CompileResult | None = None
    exit: Exit | None = None

    def event(self, **fields: object) -> RunEvent:
        at_ms = (asyncio.get_running_loop().time() - self.began) * 1000
        values = {"trace_id": self.trace_id, "item": self.item, "at_ms": round(at_ms, 3), **fields}
        return RunEvent.model_validate(values)

    def stage(self, text: str, vm_id: str | None) -> None:
        self.outlet.post(self.event(kind="stage", text=text, vm_id=vm_id))


class Runner:
    """Runs requests on the VMs of one fleet. ``planner`` turns a request into a plan and a start, or refuses it."""

    def __init__(
        self, settings: Settings, fleet: Fleet, admission: Admission, choice: VmmChoice, planner: Planner, on_end: OnEnd
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._admission = admission
        self._choice = choice
        self._planner = planner
        self._on_end = on_end

    async def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        """Events of all items; closing it ends their VMs."""
        outlet = Outlet()
        work = self._batch(request, outlet) if isinstance(request.stdin, tuple) else self._single(request, outlet)
        async with aclosing(outlet.follow(work)) as events:
            async for event in events:
                yield event

    async def run(self, request: RunRequest) -> RunResult | BatchResult:
        results: dict[int, RunResult] = {}
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                if event.result is not None:
                    results[event.item] = event.result
        if isinstance(request.stdin, tuple):
            return BatchResult(results=tuple(results[item] for item in sorted(results)))
        if 0 not in results:
            raise InternalError("The run ended without a result")
        return results[0]

    async def _single(self, request: RunRequest, outlet: Outlet) -> None:
        stdin = request.stdin if isinstance(request.stdin, str) else None
        await self._item(request, stdin, 0, outlet, patient=False)

    async def _batch(self, request: RunRequest, outlet: Outlet) -> None:
        """Each item in a VM of its own. The first must find a place like any run; the others then wait their turn.

        The first error of an item ends the others, and is raised as it is: callers know VmdeckError, not groups.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for item, stdin in enumerate(request.stdin or ()):
                    group.create_task(self._item(request, stdin, item, outlet, patient=item > 0))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _item(self, request: RunRequest, stdin: str | None, item: int, outlet: Outlet, *, patient: bool) -> None:
        run = _Run(request, item, outlet, asyncio.get_running_loop().time())

        def queued(position: int) -> None:
            outlet.post(run.event(kind="queued", text=str(position)))

        try:
            plan, start = await self._planner(request, stdin)
            async with self._admission.place(patient=patient, told=queued):
                run.placed = asyncio.get_running_loop().time()
                result = await self._execute_current(run, stdin, plan, start)
        except VmdeckError as error:
            await self._on_end(request, run.trace_id, item, error)
            raise
        await self._on_end(request, run.trace_id, item, result)
        outlet.post(run.event(kind="result", result=result))

    async def _execute_current(self, run: _Run, stdin: str | None, plan: Plan, start: Start) -> RunResult:
        """Plan again where image or snapshot was made anew while the run waited or its VM started."""
        while True:
            try:
                return await self._execute(run, plan, start)
            except ReplacedError:
                plan, start = await self._planner(run.request, stdin)

    async def _execute(self, run: _Run, plan: Plan, start: Start) -> RunResult:
        purpose = VmPurpose("run", plan.recipe.id, plan.image.name, start.snapshot, run.trace_id)
        async with lease(self._fleet, self._settings, start, purpose, run.stage) as held:
            held.live.state = VmState.RUNNING
            try:
                status, code = await self._programs(run, plan, held)
            except OutcomeUnknownError:
                if not held.live.killed:
                    raise
                status, code = "killed", KILLED_CODE
            return self._result(run, plan, start, held, status, code)

    async def _programs(self, run: _Run, plan: Plan, held: Lease) -> tuple[RunStatus, int]:
        """Compile where the language wants it, then run."""
        files = plan.files
        if plan.compile is not None:
            run.stage("compiling", held.live.id)
            transcript = Transcript()
            end = await self._program(run, held, plan.compile, files, transcript, phase="compile")
            status, code = verdict(end)
            run.compile = compile_result(transcript, end, code)
            if status != "success":
                run.exit = end
                return ("compile_error" if status == "failed" else status), code
            files = ()
        run.stage("running", held.live.id)
        end = await self._program(run, held, plan.run, files, run.transcript, phase="run")
        run.exit = end
        return verdict(end)

    async def _program(
        self,
        run: _Run,
        held: Lease,
        program: Program,
        files: tuple[GuestFile, ...],
        transcript: Transcript,
        *,
        phase: str,
    ) -> Exit:
        loop = asyncio.get_running_loop()
        began = loop.time()
        settings = self._settings
        events = held.guest.execute(
            program, files, start_deadline_s=settings.restore_deadline_s, grace_s=settings.kill_grace_s
        )
        async with aclosing(events):
            async for message in events:
                if isinstance(message, Output):
                    run.first_output = run.first_output or loop.time()
                    if text := transcript.add(message.stream, message.data):
                        await run.outlet.send(run.event(kind=message.stream, text=text, phase=phase))
                elif isinstance(message, Exit):
                    for stream, text in transcript.end().items():
                        if text:
                            await run.outlet.send(run.event(kind=stream, text=text, phase=phase))
                    run.exec_ms = (loop.time() - began) * 1000
                    return message
        raise InternalError("The guest's stream ended without an exit")

    def _result(self, run: _Run, plan: Plan, start: Start, held: Lease, status: RunStatus, code: int) -> RunResult:
        now = asyncio.get_running_loop().time()
        end = run.exit
        exec_ms = end.timings.exec_ms if end else run.exec_ms
        first_output = (run.first_output - run.began) * 1000 if run.first_output else None
        return RunResult(
            trace_id=run.trace_id,
            status=status,
            stdout=run.transcript.stdout,
            stderr=run.transcript.stderr or None,
            exit_code=code,
            exec_time=duration_text(exec_ms),
            exec_time_ms=round(exec_ms, 3),
            compile=run.compile,
            timings=Timings(
                queue=round((run.placed - run.began) * 1000, 3),
                restore=round(held.restore_ms, 3),
                resync=round(held.resync_ms, 3),
                exec=round(run.exec_ms, 3),
                total=round((now - run.began) * 1000, 3),
                first_output=round(first_output, 3) if first_output is not None else None,
            ),
            boot=start.boot,
            boot_reason=start.reason,
            truncated=Truncated(
                stdout=end.truncated.stdout if end else False, stderr=end.truncated.stderr if end else False
            ),
            usage=Usage(cpu_ms=end.cpu_ms, peak_memory_bytes=end.peak_memory_bytes) if end else Usage(),
            vm=VmRef(
                id=held.live.id,
                vmm=self._choice.vmm,
                accelerator=self._choice.accelerator,
                reason=self._choice.reason,
                jailed=self._choice.jailed,
                image=plan.image.name,
                snapshot=start.snapshot,
            ),
        )
