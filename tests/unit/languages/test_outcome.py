"""The proof of a language takes only what its row says, and tells what it saw instead."""

from __future__ import annotations

import pytest

from engine.languages.catalogue import Catalogue
from engine.models import RunResult
from tests.languages.outcome import NotProvenError, expect_error, expect_output

C, LUA = Catalogue.load().recipe("c"), Catalogue.load().recipe("lua")


def result(**fields: object) -> RunResult:
    whole = {
        "trace_id": "1", "status": "success", "stdout": "", "stderr": "", "exit_code": 0, "exec_time": "1ms",
        "exec_time_ms": 1, "timings": {}, "boot": "cold", "vm": {"id": "1", "vmm": "qemu"}, **fields,
    }  # fmt: skip
    return RunResult.model_validate(whole)


@pytest.mark.parametrize("seen", [{"stdout": "Hello"}, {"stdout": "Hello\n", "status": "failed", "exit_code": 1}])
def test_output_is_taken_only_whole_and_of_a_run_that_went_well(seen: dict[str, object]) -> None:
    expect_output("hello", result(stdout="Hello\n"), "Hello\n")
    with pytest.raises(NotProvenError, match=r"hello was to print 'Hello\\n', but .*stdout 'Hello"):
        expect_output("hello", result(**seen), "Hello\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_an_error_may_be_told_on_either_stream(stream: str) -> None:
    expect_error(LUA, result(status="failed", **{stream: "lua: main.lua:1: no such fruit\n"}))


@pytest.mark.parametrize(
    "seen",
    [{"stderr": "main.lua:1: no such fruit"}, {"status": "failed"}, {"status": "timeout", "stderr": "no such fruit"}],
)
def test_an_error_that_is_another_proves_nothing(seen: dict[str, object]) -> None:
    with pytest.raises(NotProvenError, match="error was to be failed"):
        expect_error(LUA, result(**seen))


def test_an_error_of_compiling_is_looked_for_in_what_the_compiler_says() -> None:
    says = {"stdout": "", "stderr": "/work/main.c:2:12: error: undeclared", "exit_code": 1, "exec_time_ms": 1}
    expect_error(C, result(status="compile_error", compile=says))
    with pytest.raises(NotProvenError, match="undeclared"):
        expect_error(C, result(status="compile_error", compile={**says, "stderr": "undeclared"}))
