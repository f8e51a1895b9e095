"""A buffer's fields and a request say the same, both ways."""

from __future__ import annotations

import pytest

from console.scratch.buffer import Buffer, BufferFile
from console.scratch.form import FieldError, buffer_of, request_of, set_words
from engine.models import Limits, RunRequest, SourceFile

REQUESTS = {
    "least": RunRequest(language="python"),
    "all": RunRequest(
        language="bash",
        code="cat\n",
        files=(SourceFile(path="a/b c.txt", content="x\n"),),
        args=("plain", "two words", "", "it's", '"', "--flag", "a\nb"),
        stdin="in\n",
        env={"A": "", "B": "x=y", "C": "two\nlines", "D": '"quoted"', "E": " spaces ", "F": "back\\slash\nn"},
        limits=Limits(
            timeout_s=2.5,
            cpu_s=1,
            memory_mib=64,
            pids=3,
            stdout_bytes=0,
            stderr_bytes=5,
            file_mib=0,
            tmpfs_mib=7,
        ),
        memory_mib=512,
        vcpus=2,
        boot="snapshot",
        snapshot="python-256m",
    ),
    "kernel": RunRequest(language="python", code="1", boot="cold", kernel="/boot/vmlinuz 6"),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_survives_the_way_through_a_buffer(request_: RunRequest) -> None:
    assert request_of(buffer_of(request_)) == request_


def test_a_batch_survives_the_way_through_a_buffer() -> None:
    request = RunRequest(language="python", stdin=("a", "", "c\n"))
    assert request_of(buffer_of(request), batch=True) == request


def test_the_short_form_of_the_timeout_becomes_the_long_one() -> None:
    assert request_of(buffer_of(RunRequest(language="python", timeout=0.25))).limits.timeout_s == 0.25


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"args": "'"}, "args"),
        ({"env": "x"}, "env"),
        ({"values": {"limits.pids": "0"}}, "limits.pids"),
        ({"values": {"memory_mib": "many"}}, "memory_mib"),
        ({"values": {"snapshot": "No Name"}}, "snapshot"),
        ({"files": [BufferFile(text="x" * 1_048_577)]}, "code"),
        ({"files": [BufferFile(), BufferFile(path="../x")]}, "files"),
        ({"files": [BufferFile(), BufferFile(path="x"), BufferFile(path="x")]}, "files"),
        ({"stdins": ["x" * (8 * 1024 * 1024 + 1)]}, "stdin"),
        ({"files": [BufferFile(text="\ud800")]}, "code"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(changes: dict[str, object], field: str) -> None:
    buffer = Buffer.model_construct(**(Buffer(language="python").model_dump() | {"files": [BufferFile()]} | changes))
    with pytest.raises(FieldError) as caught:
        request_of(buffer)
    assert caught.value.field == field
    assert caught.value.message
    assert "Value error" not in caught.value.message


def test_the_head_names_what_the_form_holds() -> None:
    buffer = buffer_of(REQUESTS["all"])
    assert set_words(buffer) == ["args", "stdin 1 line", "env", "12 limits"]
    assert set_words(Buffer()) == []
