"""What the setup wizard asks the engine to do, as the walk stands, and what that means in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from console.screens.picker import Choice
from console.setup_walk import Stage, Walk
from engine.api import EngineApi
from engine.models import BuildImageRequest, CreateSnapshotRequest, Job, JobState, RunRequest, SetupStep

Begin = Callable[[EngineApi], Awaitable[Job]]


def foremost(jobs: Sequence[Job]) -> Job | None:
    """The job to follow: one that runs before those that have ended, the newest of them."""
    return max(jobs, key=lambda job: (job.state is JobState.RUNNING, job.started), default=None)


def applying(walk: Walk) -> Begin:
    """The steps of the plan that are to do; what they need is among them or done."""
    names = [step.id for step in walk.chosen]
    return lambda api: api.apply_setup(names, walk.options)


def making(walk: Walk, stage: Stage) -> Begin | None:
    """The image or snapshot of the language: by its step of setup where it has one, so that undo knows of it."""
    language = walk.language
    if language is None:
        return None
    if (step := walk.own_step(stage)) is not None:
        return lambda api: api.apply_setup([step.id], walk.options)
    if stage is Stage.SNAPSHOT:
        return lambda api: api.create_snapshot(CreateSnapshotRequest(language=language.id))
    request = BuildImageRequest(
        name=language.id, packages=language.packages, suite=language.suite, languages=(language.id,)
    )
    return lambda api: api.build_image(request)


def example(walk: Walk) -> RunRequest | None:
    """The first run."""
    language = walk.language
    return None if language is None else RunRequest(language=language.id, code=language.example)


def consequences(chosen: Sequence[SetupStep]) -> str:
    """What applying would touch."""
    touching = ", ".join(step.title for step in chosen if step.touches_system)
    own = ", ".join(step.title for step in chosen if not step.touches_system)
    lines = [f"This changes the system: {touching}." if touching else "Nothing of the system itself is changed."]
    if own:
        lines.append(f"This is made in vmdeck's own folders: {own}.")
    return "\n".join([*lines, "What is made is written down, and U undoes it."])


def language_choices(walk: Walk) -> list[Choice]:
    """The languages that a first run can be in."""
    return [
        Choice(one.id, one.title, ", ".join(one.packages), "warm" if one.warm else "ready" if one.ready else "to build")
        for one in walk.offered_languages
    ]
