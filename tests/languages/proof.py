"""Proves one language: its image is built, and each of its examples runs in a microVM of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from engine.engine import Engine
from engine.errors import VmdeckError
from engine.languages.catalogue import Recipe
from engine.languages.proofs import LanguageProof, row_digest
from engine.models import CreateSnapshotRequest, Image, RunResult
from tests.languages.building import built, finished
from tests.languages.outcome import NotProvenError, expect_error, expect_output
from tests.running import run_code

# Whether code runs is what is proven, and not how fast on a host that may have to translate it: a row's own times are
# for processors that run guests by themselves.
_TIMEOUT_S = 240


async def prove(engine: Engine, recipe: Recipe, *, keep: bool = False) -> LanguageProof:
    """Build, run and measure; image and snapshot are removed again unless ``keep``. A failure is in ``problem``."""
    measured: dict[str, object] = {}
    problem: str | None = None
    try:
        began = time.monotonic()
        async with _image(engine, recipe, keep=keep) as image:
            measured["build_s"] = round(time.monotonic() - began, 1)
            measured["version"], measured["image_bytes"] = image.version, image.disk_bytes
            await _run_all(engine, recipe, measured, keep=keep)
    except (NotProvenError, VmdeckError) as error:
        problem = str(error)
    now = datetime.now(UTC).replace(microsecond=0)
    entry = {"row": row_digest(recipe), "date": now, "vmm": await _vmm(engine), "problem": problem, **measured}
    return LanguageProof.model_validate(entry)


async def _run_all(engine: Engine, recipe: Recipe, measured: dict[str, object], *, keep: bool) -> None:
    cold = await _hello(engine, recipe, "cold")
    measured["cold_ms"] = cold.timings.first_output
    async with _snapshot(engine, recipe, keep=keep):
        warm = await _hello(engine, recipe, "snapshot")
        measured["warm_ms"] = warm.timings.first_output
        others = await _examples(engine, recipe)
    measured["peak_memory_bytes"] = max(result.usage.peak_memory_bytes for result in (cold, warm, *others))


async def _hello(engine: Engine, recipe: Recipe, boot: str) -> RunResult:
    result = await run_code(engine, recipe.id, recipe.hello, timeout=_TIMEOUT_S, boot=boot)
    expect_output(f"hello ({boot})", result, recipe.expect)
    return result


async def _examples(engine: Engine, recipe: Recipe) -> list[RunResult]:
    """Of reading stdin, of a second file, of an error; those that the language has."""
    results: list[RunResult] = []

    async def run(code: str, **fields: object) -> RunResult:
        results.append(await run_code(engine, recipe.id, code, timeout=_TIMEOUT_S, boot="snapshot", **fields))
        return results[-1]

    if recipe.stdin:
        expect_output("stdin", await run(recipe.stdin.code, stdin=recipe.stdin.input), recipe.stdin.expect)
    if recipe.second:
        files = [{"path": path, "content": content} for path, content in recipe.second.files.items()]
        expect_output("second", await run(recipe.second.code, files=files), recipe.second.expect)
    if recipe.error:
        expect_error(recipe, await run(recipe.error.code))
    return results


@asynccontextmanager
async def _image(engine: Engine, recipe: Recipe, *, keep: bool) -> AsyncGenerator[Image]:
    image = await built(engine, recipe)
    try:
        yield image
    finally:
        if not keep:
            await engine.remove_image(image.name)


@asynccontextmanager
async def _snapshot(engine: Engine, recipe: Recipe, *, keep: bool) -> AsyncGenerator[None]:
    job = await finished(engine, await engine.create_snapshot(CreateSnapshotRequest(language=recipe.id)))
    assert job.result is not None
    try:
        yield
    finally:
        if not keep:
            await engine.remove_snapshot(job.result)


async def _vmm(engine: Engine) -> str:
    choice = (await engine.health()).vmm
    return f"{choice.vmm} {choice.version or ''} ({choice.accelerator})"
