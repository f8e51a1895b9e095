"""`vmdeck host`: output, exit codes and the request it makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import BusyError, NotReadyError
from engine.models import RunResult
from tests.unit.cli.conftest import Invoke
from tests.unit.fake_engine import FakeEngine, raising

ECHO = ("host", "--lang", "echo", "--code")


def test_output_goes_where_the_code_sent_it(vmdeck: Invoke) -> None:
    result = vmdeck(*ECHO, "a\r\nü\n", "--env", "STDERR=oops")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, "a\r\nü\n".encode(), "oops")


@pytest.mark.parametrize(
    ("status", "exit_code", "said"),
    [
        ("timeout", 124, "vmdeck: timeout after 0.01 s\n"),
        ("memory_limit", 137, "vmdeck: ended at its memory limit\n"),
        ("output_limit", 137, "vmdeck: ended at its output limit\n"),
        ("killed", 137, "vmdeck: killed\n"),
        ("failed", 1, ""),
    ],
)
def test_the_exit_code_is_the_codes_own(status: str, exit_code: int, said: str, vmdeck: Invoke) -> None:
    result = vmdeck(*ECHO, "", "--env", f"STATUS={status}")
    assert (result.exit_code, result.stderr) == (exit_code, said)


def test_code_that_exits_with_3_makes_us_exit_with_3(vmdeck: Invoke) -> None:
    assert vmdeck(*ECHO, "", "--env", "EXIT=3").exit_code == 3


def test_json_prints_the_result_and_nothing_else(vmdeck: Invoke) -> None:
    result = vmdeck(*ECHO, "hi", "--env", "STDERR=oops", "--env", "EXIT=3", "--json")
    printed = RunResult.model_validate_json(result.stdout)
    assert (printed.stdout, printed.stderr, printed.exit_code) == ("hi", "oops", 3)
    assert (result.exit_code, result.stderr) == (3, "")


def test_every_flag_reaches_the_request(vmdeck: Invoke, engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("input")
    flags = ["--arg", "-x", "--arg", "y", "--env", "A=b=c", "--timeout", "2.5", "--mem", "128", "--vcpus", "2"]
    assert vmdeck(*ECHO, "c", *flags, "--stdin-file", str(tmp_path / "in.txt")).exit_code == 0
    request = engine.requests[0]
    assert (request.code, request.stdin, request.args, request.env) == ("c", "input", ("-x", "y"), {"A": "b=c"})
    assert (request.timeout, request.memory_mib, request.vcpus, request.boot) == (2.5, 128, 2, "auto")


@pytest.mark.parametrize(
    ("flags", "boot", "snapshot", "kernel"),
    [
        (["--snapshot"], "snapshot", None, None),
        (["--snapshot", "py-1"], "snapshot", "py-1", None),
        (["--snapshot=py-1"], "snapshot", "py-1", None),
        (["--snapshot", "--timeout", "1"], "snapshot", None, None),
        (["--arg", "--snapshot"], "auto", None, None),
        (["--no-snapshot"], "cold", None, None),
        (["--kernel", "/boot/k"], "cold", None, "/boot/k"),
    ],
)
def test_how_to_boot_is_as_the_flags_say(
    flags: list[str], boot: str, snapshot: str | None, kernel: str | None, vmdeck: Invoke, engine: FakeEngine
) -> None:
    assert vmdeck(*ECHO, "", *flags).exit_code == 0
    request = engine.requests[0]
    assert (request.boot, request.snapshot, request.kernel) == (boot, snapshot, kernel)


def test_code_comes_from_a_file_or_from_stdin(vmdeck: Invoke, tmp_path: Path) -> None:
    (tmp_path / "code").write_text("from a file")
    assert vmdeck("host", "--lang", "echo", "--file", str(tmp_path / "code")).stdout == "from a file"
    assert vmdeck("host", "--lang", "echo", "--file", "-", stdin="piped").stdout == "piped"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--code", "x", "--timeout", "-1"], "timeout"),
        (["--code", "x", "--mem", "1"], "memory_mib"),
        (["--code", "x", "--env", "9=x"], "env"),
        (["--code", "x", "--env", "NOVALUE"], "NOVALUE"),
        (["--code", "x", "--file", "y"], "--file"),
        (["--code", "x", "--snapshot", "--no-snapshot"], "--no-snapshot"),
        (["--file", "/nonexistent/file"], "/nonexistent/file"),
        ([], "--code"),
    ],
)
def test_bad_input_is_exit_2_and_named(flags: list[str], named: str, vmdeck: Invoke, engine: FakeEngine) -> None:
    result = vmdeck("host", "--lang", "echo", *flags)
    assert (result.exit_code, result.stdout, engine.entered) == (2, "", 0)
    assert named in result.stderr


def test_code_that_is_no_text_is_refused(vmdeck: Invoke) -> None:
    result = vmdeck("host", "--lang", "echo", "--file", "-", stdin=b"\xff\xfe")
    assert (result.exit_code, "UTF-8" in result.stderr) == (2, True)


def test_an_unknown_language_says_which_are_known(vmdeck: Invoke) -> None:
    result = vmdeck("host", "--lang", "cobol", "--code", "x")
    assert (result.exit_code, result.stderr) == (2, "vmdeck: Unknown language 'cobol'\n  Known languages: echo\n")


def test_errors_have_their_exit_code_and_remedy(vmdeck: Invoke, engine: FakeEngine) -> None:
    with raising(engine, BusyError("full", retry_after_s=3)):
        result = vmdeck(*ECHO, "x")
    assert (result.exit_code, result.stderr) == (75, "vmdeck: full\n  Try again in 3 s.\n")


def test_with_json_an_error_is_a_problem_on_stdout(vmdeck: Invoke, engine: FakeEngine) -> None:
    with raising(engine, NotReadyError("no QEMU", remedy="vmdeck setup")):
        result = vmdeck(*ECHO, "x", "--json")
    problem = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (2, "")
    assert (problem["type"], problem["remedy"]) == ("urn:vmdeck:error:not-ready", "vmdeck setup")


def test_a_lost_guest_is_told_after_its_output(vmdeck: Invoke) -> None:
    result = vmdeck("host", "--lang", "lost", "--code", "x")
    assert (result.exit_code, result.stdout) == (70, "started\n")
    assert result.stderr == "vmdeck: the guest is gone\n  run it again\n"


def test_a_fault_of_ours_is_in_the_log_with_its_trace_id(
    vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_request: object) -> None:
        raise ZeroDivisionError("no\x1b[2J")

    monkeypatch.setattr(engine, "stream", broken)
    result = vmdeck(*ECHO, "x", "--json")
    trace_id = json.loads(result.stdout)["context"]["trace_id"]
    log = tmp_path / "data" / "faults.log"
    assert (result.exit_code, log.stat().st_mode & 0o777) == (70, 0o600)
    assert f"trace_id={trace_id}" in log.read_text()
    assert "ZeroDivisionError" in log.read_text()
    assert "\x1b" not in vmdeck(*ECHO, "x").stderr


def _started(tmp_path: Path, *args: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.unit.cli.signalled", *args]
    places = {f"VMDECK_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **places},
        cwd=Path(__file__).parents[3],
    )


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_run_and_cleans_up(number: signal.Signals, exit_code: int, tmp_path: Path) -> None:
    with _started(tmp_path, "host", "--lang", "hang", "--code", "x") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (exit_code, b"closed\n")


def test_ctrl_c_cancels_a_job_and_waits_for_its_end(tmp_path: Path) -> None:
    with _started(tmp_path, "snapshot", "create", "--lang", "slow") as process:
        assert process.stderr is not None
        assert [process.stderr.readline(), process.stderr.readline()] == [b"begin\n", b"half done\n"]
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (130, b"", b"cancelled\n")


def test_a_reader_that_leaves_ends_the_run_quietly(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("line\n" * 100_000)
    with _started(tmp_path, "host", "--lang", "echo", "--file", str(tmp_path / "code")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        stderr = process.stderr.read()
    assert (process.returncode, stderr) == (141, b"closed\n")
