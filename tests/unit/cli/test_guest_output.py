"""A guest's output can't steer the terminal of whoever runs it, and goes unchanged into files and pipes."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest

from engine.cli.guest_output import GuestOutput
from engine.models import RunResult
from engine.printable import printable_json
from tests.console.evil import EVIL
from tests.console.samples import JOBS
from tests.unit.cli.conftest import Invoke
from tests.unit.fake_engine import FakeEngine

DANGEROUS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


class Stream(io.TextIOWrapper):
    """Takes bytes; says that it is a terminal where a test wants that."""

    def __init__(self, *, terminal: bool) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="ascii")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    @property
    def text(self) -> str:
        return self.bytes.getvalue().decode()


def shown(*pieces: str, terminal: bool = True, raw: bool = False) -> str:
    stream = Stream(terminal=terminal)
    output = GuestOutput(stream, raw=raw)
    for piece in pieces:
        output.write(piece)
    output.end()
    output.end()
    return stream.text


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
def test_nothing_on_a_terminal_is_obeyed(text: str) -> None:
    for pieces in ((text,), text[:200]):  # whole, and torn into characters
        left = [char for char in shown(*pieces) if unicodedata.category(char) in DANGEROUS and char not in "\n\t"]
        assert left == []


@pytest.mark.parametrize(
    ("pieces", "seen"),
    [
        (("plain ü 日本\n\tx",), "plain ü 日本\n\tx"),
        (("a\r\nb\r\n",), "a\nb\n"),
        (("a\r", "\nb"), "a\nb"),
        (("harmless\rrm",), "harmless\\rrm"),
        (("a\r", "b"), "a\\rb"),
        (("a\r", "", "\r"), "a\\r\\r"),
        (("\x1b]0;t\x07",), "\\x1b]0;t\\x07"),
    ],
)
def test_a_terminal_shows_what_was_there(pieces: tuple[str, ...], seen: str) -> None:
    assert shown(*pieces) == seen


@pytest.mark.parametrize("text", [text for name, text in EVIL.items() if name != "surrogate"])
def test_files_pipes_and_raw_get_every_byte(text: str) -> None:
    assert shown(text, terminal=False) == text
    assert shown(text, raw=True) == text


def test_the_command_passes_bytes_on_where_it_writes_into_a_pipe(vmdeck: Invoke) -> None:
    assert vmdeck("host", "--lang", "echo", "--code", "\x1b]0;t\x07\r\n").stdout_bytes == b"\x1b]0;t\x07\r\n"


@pytest.mark.parametrize("text", [text for name, text in EVIL.items() if name != "surrogate"])
def test_json_means_the_same_and_has_nothing_to_obey(text: str) -> None:
    told = printable_json(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(told) == {"name": text}
    assert [char for char in told if unicodedata.category(char) in DANGEROUS] == []


def test_json_of_the_command_has_nothing_to_obey(vmdeck: Invoke) -> None:
    result = vmdeck("host", "--lang", "echo", "--code", "\x9b2J\u202e", "--json")
    assert "\x9b" not in result.stdout
    assert RunResult.model_validate_json(result.stdout).stdout == "\x9b2J\u202e"


LISTS = (("vms",), ("runs",), ("jobs",), ("rootfs", "list"), ("snapshot", "list"), ("languages",), ("settings",))


@pytest.mark.parametrize("path", LISTS, ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True])
def test_listings_have_nothing_to_obey(
    path: tuple[str, ...], as_json: bool, vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "".join(text for name, text in EVIL.items() if name not in ("surrogate", "long"))
    calls = {"rootfs": "images", "snapshot": "snapshots"}
    call = calls.get(path[0], path[0])
    real = getattr(engine, call)

    async def spoiled(*args: object) -> object:
        return [
            value.model_copy(update={name: evil for name, at in value if isinstance(at, str) and name != "state"})
            for value in (JOBS if call == "jobs" else await real(*args))
        ]

    monkeypatch.setattr(engine, call, spoiled)
    result = vmdeck(*path, *(("--json",) if as_json else ()))
    assert result.exit_code == 0, result.output
    assert "owned" in result.stdout
    assert [char for char in result.stdout if unicodedata.category(char) in DANGEROUS and char != "\n"] == []
