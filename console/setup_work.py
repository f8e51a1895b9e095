"""What the setup wizard asks the engine to do, as the walk stands, and what that means in words."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from console.build_series import Begin, Build
from console.language_facts import STATES, cost_words, state_of
from console.screens.picker import Choice
from console.setup_stages import Stage
from console.setup_walk import FIRST_LANGUAGE, Walk
from engine.models import (
    BuildLanguageRequest,
    CreateSnapshotRequest,
    Job,
    JobState,
    Language,
    RunRequest,
    SetupStep,
)


def foremost(jobs: Sequence[Job]) -> Job | None:
    """The job to follow: one that runs before those that have ended, the newest of them."""
    return max(jobs, key=lambda job: (job.state is JobState.RUNNING, job.started), default=None)


def own_jobs(jobs: Sequence[Job], walk: Walk, begun: Collection[str]) -> list[Job]:
    """All but the images and snapshots of others than the walk is about; ``begun`` are ids of what the wizard began."""
    return [job for job in jobs if job.kind in ("setup", "undo") or job.id in begun or _is_wished(job, walk)]


def _is_wished(job: Job, walk: Walk) -> bool:
    """By the engine's words for what is made as the wizard would: a job names no language."""
    wished = walk.wished_languages
    if job.kind == "image":
        return any(job.title == f"Build {one.title}" for one in wished)
    names = "|".join(re.escape(one.id) for one in wished[:1])
    return bool(names) and re.fullmatch(rf"Make snapshot ({names})-\d+m-\d+c( anew)?", job.title) is not None


def applying(walk: Walk) -> Begin:
    """The steps of the plan that are to do; what they need is among them or done."""
    names = [step.id for step in walk.chosen]
    return lambda api: api.apply_setup(names, walk.options)


def making(walk: Walk, stage: Stage) -> list[Build]:
    """The images that are wished and not there, one after the other, or the snapshot of the first language."""
    languages = walk.unbuilt if stage is Stage.IMAGE else filter(None, (walk.language,))
    return [Build(one.id, one.title, _making(walk, stage, one)) for one in languages]


def _making(walk: Walk, stage: Stage, language: Language) -> Begin:
    """By the step of setup where the language has one, so that undo knows of it."""
    step = walk.step(stage.value) if language.id == FIRST_LANGUAGE else None
    if step is not None:
        return lambda api: api.apply_setup([step.id], walk.options)
    if stage is Stage.SNAPSHOT:
        return lambda api: api.create_snapshot(CreateSnapshotRequest(language=language.id))
    return lambda api: api.build_language(BuildLanguageRequest(language=language.id))


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
        Choice(one.id, one.title, cost_words(one) or one.category, STATES[state_of(one)].text)
        for one in walk.offered_languages
    ]
