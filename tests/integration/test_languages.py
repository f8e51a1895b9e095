"""A language is a table of the catalogue: one of the user's own works like a shipped one, compile step included."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.engine import Engine
from engine.folders import config_dir
from engine.settings import Settings
from tests.running import run_code

pytestmark = pytest.mark.vm

# Replaces the shipped table of that name, so that the image which serves bash serves this.
OWN_BASH = """
[bash]
title = "Checked Bash"
file = "main.sh"
compile = ["bash", "-c", "echo compiling; bash -n {file} && cp {file} {work}/made.sh"]
run = ["bash", "{work}/made.sh"]
hello = "echo hello"
expect = "hello\\n"
"""


@pytest.fixture
async def engine(lab: Settings) -> AsyncIterator[Engine]:
    config_dir().mkdir(parents=True)
    (config_dir() / "languages.toml").write_text(OWN_BASH)
    async with Engine(lab) as engine:
        yield engine


async def test_what_was_compiled_is_what_runs(engine: Engine) -> None:
    result = await run_code(engine, "bash", "echo ran with $1", args=["x"])
    assert (result.status, result.stdout, result.exit_code) == ("success", "ran with x\n", 0)
    assert result.compile is not None
    assert (result.compile.stdout, result.compile.exit_code) == ("compiling\n", 0)


async def test_what_does_not_compile_does_not_run(engine: Engine) -> None:
    result = await run_code(engine, "bash", "echo never; if then")
    assert (result.status, result.stdout) == ("compile_error", "")
    assert result.exit_code != 0
    assert result.compile is not None
    assert "syntax error" in result.compile.stderr
