"""`vmdeck console`: which engine it gives to the console, and what it says of tokens and addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import cast

import pytest

from engine.api import EngineApi
from engine.cli import ways_in
from engine.client import RemoteEngine
from engine.errors import NotReadyError
from engine.http.server import running_server, serve_socket
from engine.http.sockets import tcp_socket
from engine.models import RunRequest
from engine.settings import Settings
from tests.unit.cli.conftest import Invoke
from tests.unit.fake_engine import FakeEngine
from tests.unit.http.test_caller import Asked

TOKEN = "s3cret-token"


@dataclass
class Console:
    """Stands in for the console; returns 3."""

    factory: Callable[..., AbstractAsyncContextManager[EngineApi]] | None = None
    read_only: bool = False
    warnings: Sequence[str] = field(default_factory=list[str])

    def __call__(
        self,
        factory: Callable[..., AbstractAsyncContextManager[EngineApi]],
        *,
        read_only: bool,
        warnings: Sequence[str] = (),
        colours: str,
        ascii_only: bool,
    ) -> int:
        self.factory, self.read_only, self.warnings = factory, read_only, warnings
        return 3

    def opened(self) -> AbstractAsyncContextManager[EngineApi]:
        assert self.factory is not None
        return self.factory(lambda _words: None, may_start=False)


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    stand_in = Console()
    monkeypatch.setattr(EntryPoint, "load", lambda _self: stand_in)
    found = EntryPoints([EntryPoint("console", "console.launch:run", ways_in.FRONTENDS)])
    monkeypatch.setattr(ways_in, "entry_points", lambda **_kinds: found)
    monkeypatch.delenv("VMDECK_API_TOKEN", raising=False)
    return stand_in


@pytest.mark.parametrize(("args", "read_only"), [([], False), (["console"], False), (["console", "--read-only"], True)])
def test_the_console_is_found_by_name_and_ends_with_its_code(
    args: list[str], read_only: bool, vmdeck: Invoke, console: Console
) -> None:
    assert vmdeck(*args).exit_code == 3
    assert console.read_only == read_only


def test_it_is_given_the_engine_of_the_data_folder(vmdeck: Invoke, console: Console, tmp_path: Path) -> None:
    vmdeck("console")

    async def where() -> str:
        async with console.opened() as engine:
            return cast("RemoteEngine", engine).where

    assert asyncio.run(where()) == str(tmp_path / "runtime" / "engine.sock")


@pytest.mark.parametrize("connect", [False, True], ids=["engine here", "engine elsewhere"])
def test_its_runs_are_told_from_those_of_others(
    connect: bool, vmdeck: Invoke, console: Console, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data", runtime_dir=tmp_path / "runtime")
    engine = Asked()

    async def ran() -> None:
        async with serve_socket(engine, settings) as path:
            arguments = ("--connect", str(path)) if connect else ()
            await asyncio.to_thread(vmdeck, "console", *arguments)
            async with console.opened() as opened:
                _ = [event async for event in opened.stream(RunRequest(language="echo", code="a\n"))]

    asyncio.run(ran())
    assert engine.callers == ["console"]


@pytest.mark.parametrize("given", ["file", "variable"])
def test_a_token_reaches_the_engine_and_no_word_that_is_said(
    given: str, vmdeck: Invoke, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    if given == "variable":
        monkeypatch.setenv("VMDECK_API_TOKEN", TOKEN)
    settings = Settings(api_token=TOKEN)

    async def asked() -> None:
        with tcp_socket("127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with running_server(FakeEngine(), settings, listener, trusted=False):
                arguments = ("--token-file", str(file)) if given == "file" else ()
                result = await asyncio.to_thread(vmdeck, "console", "--connect", url, *arguments)
                assert TOKEN not in result.output
                async with console.opened() as engine:
                    await engine.images()

    asyncio.run(asked())
    assert console.warnings == []


def test_a_token_that_the_engine_does_not_take_is_told_without_it(vmdeck: Invoke, console: Console) -> None:
    async def asked(token: str) -> str:
        with tcp_socket("127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with (
                running_server(FakeEngine(), Settings(api_token=TOKEN), listener, trusted=False),
                RemoteEngine(url, token) as engine,
            ):
                with pytest.raises(Exception, match="token") as raised:
                    await anext(engine.attach())
                return f"{raised.value} {raised.value.remedy}"  # type: ignore[attr-defined]

    wrong, none = asyncio.run(asked("another")), asyncio.run(asked(""))
    assert "does not take this token" in wrong
    assert "another" not in wrong
    assert "wants a token" in none
    assert "--token-file" in none


def test_a_token_file_that_others_can_read_is_a_warning(vmdeck: Invoke, console: Console, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    assert vmdeck("console", "--connect", "https://bm-07", "--token-file", str(file)).exit_code == 3
    assert [warning for warning in console.warnings if "chmod 600" in warning]
    assert TOKEN not in "".join(console.warnings)


def test_a_token_that_would_go_unencrypted_is_a_warning(
    vmdeck: Invoke, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMDECK_API_TOKEN", TOKEN)
    assert vmdeck("console", "--connect", "http://bm-07:8080").exit_code == 3
    assert [warning for warning in console.warnings if "unencrypted" in warning]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--connect", "bm-07:8080"], "http://bm-07:8080"),
        (["--connect", "http://user:pw@bm-07"], "shows it to every user"),
        (["--connect", "http://"], "no URL of a server"),
        (["--connect", "http://bm-07:99999"], "no URL of a server"),
        (["--connect", "http://bm-07", "--token-file", "/nowhere"], "/nowhere can't be read"),
        (["--connect", "http://bm-07", "--token-file", "/dev/null"], "holds no token"),
        (["--connect", "http://bm-07", "--unjailed"], "an engine of this host"),
        (["--token-file", "/dev/null"], "is for --connect"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_what_to_do(
    arguments: list[str], said: str, vmdeck: Invoke, console: Console
) -> None:
    result = vmdeck("console", *arguments)
    assert (result.exit_code, said in result.stderr, "pw" in result.stderr.replace("password", "")) == (2, True, False)
    assert console.factory is None


async def test_no_way_to_a_host_is_told_with_what_to_do() -> None:
    async with RemoteEngine("http://127.0.0.1:1", TOKEN) as engine:
        with pytest.raises(NotReadyError, match="No engine answers") as raised:
            await anext(engine.attach())
    assert "vmdeck api" in raised.value.remedy
    assert TOKEN not in str(raised.value)
