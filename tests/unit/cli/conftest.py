from __future__ import annotations

import sys
import types
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner, Result

from engine.cli.root import program
from engine.models import Caller
from engine.settings import Settings
from tests.unit.fake_engine import FakeEngine

Invoke = Callable[..., Result]


def attach(engine: FakeEngine) -> types.ModuleType:
    """A stand-in for ``engine.attach`` that opens ``engine``."""

    @asynccontextmanager
    async def open_engine(
        _settings: Settings, _notice: Callable[[str], None], *, caller: str, only_looks: bool = False
    ) -> AsyncIterator[FakeEngine]:
        assert caller in get_args(Caller)
        yield engine

    module = types.ModuleType("engine.attach")
    vars(module)["open_engine"] = open_engine
    return module


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def vmdeck(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Runs a command line against the fake engine."""
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"VMDECK_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setitem(sys.modules, "engine.attach", attach(engine))
    runner = CliRunner()

    def invoke(*args: str, stdin: str | bytes | None = None) -> Result:
        return runner.invoke(program(), list(args), input=stdin)

    return invoke
