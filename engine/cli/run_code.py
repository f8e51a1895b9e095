"""The host command: runs code in a microVM; its output and exit code become ours."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from engine.cli.guest_output import GuestOutput
from engine.cli.reporting import ReportingCommand
from engine.cli.session import checked, with_engine
from engine.errors import InputError, OutcomeUnknownError
from engine.printable import printable_json

if TYPE_CHECKING:
    from rich.status import Status

    from engine.api import EngineApi
    from engine.models import RunRequest, RunResult

ANY_SNAPSHOT = "*"  # what a bare --snapshot means; no snapshot can be called so
STAGE_VISIBLE_AFTER_S = 1.0

# What is said on stderr about a run that did not end by itself
_ENDINGS = {
    "timeout": "timeout after {seconds:.3g} s",
    "memory_limit": "ended at its memory limit",
    "output_limit": "ended at its output limit",
    "killed": "killed",
}


class HostCommand(ReportingCommand):
    """``--snapshot`` may stand without a name, which the option parser does not know."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        valued = {name for param in self.params for name in param.opts if not getattr(param, "is_flag", False)}
        return super().parse_args(ctx, list(_with_snapshot_name(args, valued)))


def host(
    lang: Annotated[str, typer.Option(metavar="NAME", help="Language of the code.")],
    code: Annotated[str | None, typer.Option(metavar="TEXT", help="The code itself.")] = None,
    file: Annotated[str | None, typer.Option(metavar="PATH", help="File with the code; - reads stdin.")] = None,
    stdin: Annotated[str | None, typer.Option(metavar="TEXT", help="Text for the code's standard input.")] = None,
    stdin_file: Annotated[str | None, typer.Option(metavar="PATH", help="File for it; - passes stdin.")] = None,
    arg: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="An argument of the program; may be repeated.")
    ] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A variable; may be repeated.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="S", help="Seconds until the code is ended.")] = None,
    mem: Annotated[int | None, typer.Option(metavar="MIB", help="Memory of the VM, MiB.")] = None,
    vcpus: Annotated[int | None, typer.Option(metavar="N", help="Virtual CPUs.")] = None,
    snapshot: Annotated[
        str | None, typer.Option(metavar="[NAME]", help="Start from this snapshot, or from any that fits.")
    ] = None,
    no_snapshot: Annotated[bool, typer.Option("--no-snapshot", help="Boot cold.")] = False,
    kernel: Annotated[str | None, typer.Option(metavar="PATH", help="Boot cold with this kernel.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Let the code's escape sequences act on this terminal; else they are shown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.")] = False,
) -> None:
    """Run code in a microVM of its own. Exits with the code's own status: 124 after a timeout, 128+n after a signal."""
    from engine.models import RunRequest

    if sum((snapshot is not None, no_snapshot, kernel is not None)) > 1:
        raise InputError("--snapshot, --no-snapshot and --kernel exclude each other", remedy="Give one of them")
    request = checked(
        RunRequest,
        language=lang,
        code=_one_of("--code", code, "--file", file, required=True),
        stdin=_one_of("--stdin", stdin, "--stdin-file", stdin_file, required=False),
        args=tuple(arg or ()),
        env=dict(_variable(each) for each in env or ()),
        timeout=timeout,
        memory_mib=mem,
        vcpus=vcpus,
        boot="snapshot" if snapshot is not None else "cold" if no_snapshot or kernel is not None else "auto",
        snapshot=None if snapshot == ANY_SNAPSHOT else snapshot,
        kernel=None if kernel is None else str(Path(kernel).resolve()),  # the engine may be another process
    )
    result = with_engine(lambda engine: run_shown(engine, request, quiet=as_json, raw=raw))
    if as_json:
        print(printable_json(result.model_dump_json()))
    elif (ending := _ENDINGS.get(result.status)) is not None:
        print(f"vmdeck: {ending.format(seconds=result.exec_time_ms / 1000)}", file=sys.stderr)
    raise typer.Exit(result.exit_code)


async def run_shown(engine: EngineApi, request: RunRequest, *, quiet: bool, raw: bool = False) -> RunResult:
    """The result of a run whose output goes to ours as it comes, unless ``quiet``; ``raw`` as GuestOutput has it."""
    stages = StageNotice(sys.stderr)
    outputs = {"stdout": GuestOutput(sys.stdout, raw=raw), "stderr": GuestOutput(sys.stderr, raw=raw)}
    try:
        async with aclosing(engine.stream(request)) as events:
            async for event in events:
                if event.result is not None:
                    return event.result
                if event.kind in outputs:
                    stages.hide()
                    if not quiet:
                        outputs[event.kind].write(event.text)
                elif event.text == "running":
                    stages.hide()
                else:
                    stages.show(event.text or "waiting for a place")
    finally:
        stages.hide()
        for output in outputs.values():
            output.end()
    raise OutcomeUnknownError("The run ended without a result", remedy="Run it again")


class StageNotice:
    """What a run waits for, on a terminal, once it takes long enough to be worth saying."""

    def __init__(self, stream: TextIO) -> None:
        self._wanted = stream.isatty()
        self._text = ""
        self._due: asyncio.TimerHandle | None = None
        self._status: Status | None = None

    def show(self, text: str) -> None:
        self._text = text
        if self._status is not None:
            self._status.update(text)
        elif self._wanted and self._due is None:
            self._due = asyncio.get_running_loop().call_later(STAGE_VISIBLE_AFTER_S, self._start)

    def hide(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _start(self) -> None:
        from rich.console import Console

        self._status = Console(stderr=True).status(self._text)
        self._status.start()


def _one_of(text_flag: str, text: str | None, file_flag: str, file: str | None, *, required: bool) -> str | None:
    if text is not None and file is not None:
        raise InputError(f"{text_flag} and {file_flag} exclude each other", remedy="Give one of them")
    if file is not None:
        return _read(file)
    if text is None and required:
        raise InputError(f"Neither {text_flag} nor {file_flag} is given", remedy="Give one of them")
    return text


def _read(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode()
    except OSError as error:
        raise InputError(f"Can't read {path}: {error.strerror}", remedy="Give a file that can be read") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason}", remedy="Give a text file in UTF-8") from None


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--env {text}: no value", remedy="Write --env NAME=VALUE")
    return name, value


def _with_snapshot_name(args: Iterable[str], valued: set[str]) -> Iterator[str]:
    """The arguments with a name after each ``--snapshot``; ``valued`` are the options that take the next argument."""
    rest = list(args)
    while rest:
        word = rest.pop(0)
        yield word
        if word == "--snapshot" and (not rest or rest[0].startswith("-")):
            yield ANY_SNAPSHOT
        elif word in valued and rest:
            yield rest.pop(0)
