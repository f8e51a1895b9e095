"""Running code in tests, in as few words as possible."""

from __future__ import annotations

from engine.api import EngineApi
from engine.models import BatchResult, RunRequest, RunResult


async def run_python(engine: EngineApi, code: str, **fields: object) -> RunResult:
    """One run of Python code; ``fields`` are those of RunRequest."""
    return await run_code(engine, "python", code, **fields)


async def run_code(engine: EngineApi, language: str, code: str, **fields: object) -> RunResult:
    """With time enough for a host that stalls for seconds; tests about time say their own."""
    fields.setdefault("timeout", 60)
    result = await engine.run(RunRequest.model_validate({"language": language, "code": code, **fields}))
    assert not isinstance(result, BatchResult)
    return result
