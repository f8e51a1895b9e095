"""A host that setup changes, for tests of the wizard: its jobs go on, and end, when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from engine.errors import NotFoundError
from engine.models import (
    Check,
    Health,
    Job,
    JobEvent,
    JobState,
    Language,
    Measured,
    SetupOptions,
    SetupStep,
    SetupTrace,
    Severity,
)
from tests.console.fake_engine import FakeEngine
from tests.console.samples import CHECKS, LANGUAGES, NOW

STEPS = (
    SetupStep(
        id="package-lists",
        title="apt's package lists",
        why="All that setup downloads is checked against them",
        done=True,
        seen="apt knows all that is needed",
        touches_system=True,
    ),
    SetupStep(
        id="packages",
        title="Host packages",
        why="QEMU runs the microVMs; mmdebstrap and e2fsprogs build images",
        done=False,
        seen="missing: qemu-system-x86, mmdebstrap",
        needs=("package-lists",),
        touches_system=True,
        would=("apt-get -q install --yes qemu-system-x86 mmdebstrap",),
    ),
    SetupStep(
        id="docker",
        title="Docker engine",
        why="Images can be made from Docker's; microVMs run without it",
        done=False,
        seen="not installed",
        needs=("package-lists",),
        touches_system=True,
        would=("apt-get -q install --yes docker.io", "systemctl enable --now docker"),
    ),
    SetupStep(
        id="firecracker",
        title="Firecracker",
        why="Where KVM works, each microVM is one of Firecracker's, in its jail",
        done=False,
        seen="QEMU is used: KVM here is emulated",
        skipped=True,
    ),
    SetupStep(
        id="kernel",
        title="Guest kernel",
        why="Every microVM boots it; it is not installed on the host",
        done=False,
        seen="none here",
        needs=("package-lists",),
        would=("download and unpack linux-image-cloud-amd64",),
    ),
    SetupStep(
        id="image",
        title="Image for Python",
        why="The root file system that Python and Bash code runs in",
        done=False,
        seen="none here",
        needs=("packages",),
        would=("build the image python from the distribution's packages (about half a minute, 105 MB)",),
    ),
    SetupStep(
        id="snapshot",
        title="Warm snapshot for Python",
        why="Runs start from it in a fraction of a boot's time",
        done=False,
        seen="none here",
        needs=("packages", "firecracker", "kernel", "image"),
        would=("boot python once and save its state",),
    ),
)
TRACES = (
    SetupTrace(step="packages", kind="package", what="qemu-system-x86", at=NOW),
    SetupTrace(step="kernel", kind="folder", what="/var/lib/vmdeck/kernels/debian-6.1.0", at=NOW),
)


@dataclass
class SetupHost(FakeEngine):
    """``done`` are ids of steps that are there. Jobs log what ``log`` says and end by ``end``."""

    done: set[str] = field(default_factory=set[str])
    steps: tuple[SetupStep, ...] = STEPS
    traces: tuple[SetupTrace, ...] = ()
    options_seen: list[SetupOptions | None] = field(default_factory=list[SetupOptions | None])
    asked: list[tuple[str, ...] | None] = field(default_factory=list[tuple[str, ...] | None])
    undone: int = 0
    events: dict[str, list[JobEvent]] = field(default_factory=dict[str, list[JobEvent]])
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    # --- what the test decides

    def log(self, line: str | None, **update: object) -> None:
        """A line of the newest job, and what changes of it: step, fraction."""
        job = self.job_list[-1].model_copy(update=update)
        self.job_list = (*self.job_list[:-1], job)
        events = self.events.setdefault(job.id, [])
        events.append(JobEvent(job_id=job.id, seq=len(events) + 1, at=NOW, line=line, job=job))
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()

    def do(self, *steps: str) -> None:
        """Do these steps, as a job of setup would."""
        for step in (one for one in self.steps if one.id in steps):
            self.log(step.title, step=step.title)
            self.done.add(step.id)
            self.log(f"{step.title}: done")

    def end(self, state: JobState = JobState.DONE, error: str | None = None, remedy: str | None = None) -> None:
        self.log(error or state.value, state=state, ended=NOW, step="", error=error, remedy=remedy)

    # --- what the console asks

    async def health(self, *, full: bool = False) -> Health:
        found = await super().health(full=full)
        runs = "kernel" in self.done
        status = found.status if runs else "blocked"
        vmm = (
            found.vmm
            if runs
            else found.vmm.model_copy(
                update={"vmm": "none", "accelerator": "none", "version": None, "reason": "There is no guest kernel"}
            )
        )
        checks = (*self._stores(), *CHECKS[:4], *CHECKS[7:]) if full else None
        return found.model_copy(update={"status": status, "vmm": vmm, "checks": checks})

    def _stores(self) -> tuple[Check, ...]:
        return tuple(
            Check(
                id=f"store.{step.id}",
                group="vmm",
                title=step.title,
                severity=Severity.OK if step.id in self.done else Severity.BLOCKED,
                seen="there" if step.id in self.done else "none in /var/lib/vmdeck",
                why=step.why,
                remedy="" if step.id in self.done else "Run: vmdeck setup",
                fixed_by=None if step.id in self.done else step.id,
            )
            for step in self.steps
            if step.id in ("kernel", "image")
        )

    async def languages(self) -> Sequence[Language]:
        await self._answer("languages")
        measured = Measured(vmm="qemu 7.2.22 tcg", date=NOW, image_bytes=61_865_984, build_s=42.0)
        python = LANGUAGES[0].model_copy(
            update={
                "ready": "image" in self.done,
                "warm": "snapshot" in self.done,
                "packages": ("python3",),
                "sources": ("debian",),
            }
        )
        python = python.model_copy(update={"measured": measured})
        bash = LANGUAGES[1].model_copy(
            update={
                "ready": "image" in self.done,
                "warm": "bash" in self.done,
                "packages": ("bash",),
                "sources": ("debian",),
            }
        )
        forth = LANGUAGES[2].model_copy(
            update={"ready": "forth" in self.done, "packages": ("gforth",), "sources": ("debian",)}
        )
        return (python, bash, forth)

    async def setup_steps(self, options: SetupOptions | None = None) -> Sequence[SetupStep]:
        await self._answer("setup_steps")
        self.options_seen.append(options)
        skip = (options or SetupOptions()).skip
        return [self._seen(step, skip) for step in self.steps]

    def _seen(self, step: SetupStep, skip: Sequence[str]) -> SetupStep:
        if step.id in self.done:
            return step.model_copy(update={"done": True, "skipped": False, "seen": "there", "would": ()})
        if step.id in skip:
            return step.model_copy(update={"skipped": True, "seen": "left out, as asked", "would": ()})
        return step

    async def apply_setup(self, steps: Sequence[str] | None = None, options: SetupOptions | None = None) -> Job:
        self.asked.append(None if steps is None else tuple(steps))
        self.options_seen.append(options)
        return await super().apply_setup(steps, options)

    def _job(self, kind: str, title: str) -> Job:
        job = super()._job(kind, title)
        later = job.model_copy(update={"started": NOW + timedelta(seconds=len(self.job_list))})
        self.job_list = (*self.job_list[:-1], later)
        self.log(f"{title} ...")
        return later

    async def setup_record(self) -> Sequence[SetupTrace]:
        await self._answer("setup_record")
        return self.traces

    async def undo_setup(self) -> Job:
        await self._answer("undo_setup")
        self.undone += 1
        return self._job("undo", "Undo setup")

    async def job_events(self, job_id: str, *, after: int = 0) -> AsyncGenerator[JobEvent]:
        await self._answer("job_events")
        if job_id not in self.events:
            raise NotFoundError(f"There is no job {job_id}.")
        while True:
            grown = self.grown
            for event in self.events[job_id][after:]:
                after = event.seq
                yield event
            if self.events[job_id][-1].job.state is not JobState.RUNNING:
                return
            await grown.wait()

    async def cancel_job(self, job_id: str) -> Job:
        await self._answer("cancel_job")
        self.cancelled_jobs.append(job_id)
        self.end(JobState.CANCELLED)
        return self.job_list[-1]


def bare() -> SetupHost:
    """Nothing is there, not even what Debian could bring."""
    return SetupHost(image_list=(), snapshot_list=())


def half_done() -> SetupHost:
    """What the host itself needs is there; no image, no snapshot."""
    return SetupHost(done={"package-lists", "packages", "docker", "kernel"})


def ready() -> SetupHost:
    return SetupHost(done={step.id for step in STEPS} - {"firecracker"}, traces=TRACES)
