"""A language's image, built by the engine."""

from __future__ import annotations

from contextlib import aclosing

from engine.engine import Engine
from engine.languages.catalogue import Recipe
from engine.models import BuildImageRequest, Image, Job, JobState
from tests.languages.outcome import NotProvenError


def why_not_built(recipe: Recipe) -> str | None:
    """Why no image of the language can be built from registries, None where one can."""
    if recipe.debian is None:
        return "docker only"
    if recipe.pypi or recipe.npm or recipe.prepare:
        return "needs more than Debian packages"
    return None


async def built(engine: Engine, recipe: Recipe) -> Image:
    """Build the image, named after the language. Raises NotProvenError, with what the build said last."""
    assert recipe.debian is not None
    request = BuildImageRequest(
        name=recipe.id, packages=recipe.debian.packages, suite=recipe.debian.suite, languages=(recipe.id,)
    )
    await finished(engine, await engine.build_image(request))
    return next(image for image in await engine.images() if image.name == recipe.id)


async def finished(engine: Engine, job: Job) -> Job:
    """The job once it has ended well. Raises NotProvenError, with its error."""
    async with aclosing(engine.job_events(job.id)) as events:
        async for event in events:
            job = event.job
    if job.state is not JobState.DONE:
        raise NotProvenError(f"{job.title}: {job.state.value}: {job.error}")
    return job
