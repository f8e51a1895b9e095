"""A language's image, built by the engine."""

from __future__ import annotations

from contextlib import aclosing

from engine.engine import Engine
from engine.languages.catalogue import Recipe
from engine.models import BuildLanguageRequest, Image, Job, JobState
from tests.languages.outcome import NotProvenError


def why_not_built(recipe: Recipe) -> str | None:
    """Why no image of the language can be built from registries, None where one can."""
    return None if recipe.debian or recipe.pypi or recipe.npm else "docker only"


async def built(engine: Engine, recipe: Recipe) -> Image:
    """Build the image, named after the language. Raises NotProvenError, with what the build said last."""
    await finished(engine, await engine.build_language(BuildLanguageRequest(language=recipe.id, source="debian")))
    return next(image for image in await engine.images() if image.name == recipe.id)


async def finished(engine: Engine, job: Job) -> Job:
    """The job once it has ended well. Raises NotProvenError, with its error."""
    async with aclosing(engine.job_events(job.id)) as events:
        async for event in events:
            job = event.job
    if job.state is not JobState.DONE:
        raise NotProvenError(f"{job.title}: {job.state.value}: {job.error}")
    return job
