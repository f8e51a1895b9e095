"""Hostile programs in real microVMs: each ends in time with a true status, and leaves nothing to the next one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from engine.engine import Engine
from engine.models import RunRequest
from tests.hostile.attacks import ATTACKS
from tests.hostile.attacks.attack import Attack
from tests.running import run_python

pytestmark = [pytest.mark.vm, pytest.mark.asyncio(loop_scope="module")]

_LATEST_S = 5.0  # after the time limit; at that point the host ends a guest, which no program may bring about

# What a run finds that has never met another.
_CLEAN = """
import os, socket
print(sorted(os.listdir("/work")), os.listdir("/tmp"), os.listdir("/dev/shm"))
print([int(name) for name in os.listdir("/proc") if name.isdigit()] == [os.getpid()], socket.gethostname() != "owned")
"""


def _parameter(attack: Attack) -> object:
    marks = (pytest.mark.nightly,) if attack.nightly else ()
    return pytest.param(attack, id=attack.name, marks=marks)


@pytest.mark.parametrize("attack", [_parameter(attack) for attack in ATTACKS])
async def test_it_ends_in_time_and_truthfully_and_the_next_run_is_clean(shared_engine: Engine, attack: Attack) -> None:
    result = await run_python(
        shared_engine, attack.source(), timeout=attack.timeout_s, boot="snapshot", **attack.fields
    )
    told = f"stdout {result.stdout[-1000:]!r}, stderr {(result.stderr or '')[-1000:]!r}"
    assert (result.status, result.exit_code) == (attack.status, attack.exit_code), told
    if attack.stdout is not None:
        assert result.stdout == attack.stdout, told
    assert result.timings.exec < (attack.timeout_s + _LATEST_S) * 1000
    attack.check(result)

    clean = await run_python(shared_engine, _CLEAN, boot="snapshot")
    assert (clean.status, clean.stdout) == ("success", "['main.py'] [] []\nTrue True\n"), clean.stderr
    assert clean.vm.id != result.vm.id


@pytest.mark.parametrize(
    "path",
    [
        "../escape",
        "a/../../escape",
        "..",
        "/etc/passwd",
        "a//b",
        "./a",
        "a/",
        "",
        "nul\0nul",
        "n" * 256,
        "n" * 4000,
        "n/" * 1000 + "n",
        "\ud800",
    ],
)
async def test_a_request_with_a_file_outside_of_the_work_folder_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        RunRequest.model_validate({"language": "python", "files": [{"path": path, "content": ""}]})


@pytest.mark.parametrize("field", ["code", "stdin", "args", "env", "files"])
async def test_a_request_with_text_that_has_no_bytes_is_refused(field: str) -> None:
    bad = "\ud800"
    value = {"args": [bad], "env": {"A": bad}, "files": [{"path": "a", "content": bad}]}.get(field, bad)
    with pytest.raises(ValidationError):
        RunRequest.model_validate({"language": "python", field: value})


async def test_odd_but_honest_file_names_arrive(shared_engine: Engine) -> None:
    names = ["new\nline", "ü", " ", "-rf", "$(id)", "\x1b[2J", "n" * 255, "d/" * 500 + "deep"]
    result = await run_python(
        shared_engine,
        "import sys\nfor name in sys.argv[1:]: print(open(name).read())",
        args=names,
        files=[{"path": name, "content": str(number)} for number, name in enumerate(names)],
    )
    assert result.stdout.split() == [str(number) for number in range(len(names))], result.stderr
