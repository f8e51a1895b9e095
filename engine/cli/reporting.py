"""How a command that failed says so, and with which exit code: one place for all commands."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from engine.errors import InternalError, VmdeckError
from engine.printable import printable, printable_json

if TYPE_CHECKING:
    from engine.problem import Problem

EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE
FAULTS_LOG = "faults.log"


class ReportingCommand(TyperCommand):
    """A command whose errors end as a message on stderr, or as a problem document on stdout: with ``--json``, and for
    the console that started its engine with ``--while-needed``."""

    def invoke(self, ctx: Any) -> Any:
        with reported(as_json=bool(ctx.params.get("as_json") or ctx.params.get("while_needed"))):
            return super().invoke(ctx)


@contextmanager
def reported(*, as_json: bool) -> Generator[None]:
    """Turn what a command raises into its message and exit code (typer.Exit)."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The reader has gone: nothing can be said, and the flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_PIPE_CLOSED) from None
    except VmdeckError as error:
        _tell(error, as_json=as_json)
        raise typer.Exit(error.exit_code) from None
    except Exception as error:  # noqa: BLE001 - the last door: recorded, told, and given its exit code
        fault = _recorded(error)
        _tell(fault, as_json=as_json)
        raise typer.Exit(fault.exit_code) from None


def _tell(error: VmdeckError, *, as_json: bool) -> None:
    if as_json:
        print(printable_json(_problem(error).json().decode()))
        return
    lines = error.message.splitlines() or [error.title]
    print(f"vmdeck: {printable(lines[0])}", file=sys.stderr)
    for line in [*lines[1:], *error.remedy.splitlines()]:
        print(f"  {printable(line)}", file=sys.stderr)


def _problem(error: VmdeckError) -> Problem:
    from engine import problem

    return problem.from_error(error)


def _recorded(error: Exception) -> InternalError:
    """A fault of ours, its traceback in the log (with VMDECK_DEBUG=1, or where the log can't be written: on stderr)."""
    import uuid

    from engine.cli.session import load_settings

    trace_id = uuid.uuid4().hex
    text = f"trace_id={trace_id}\n{''.join(traceback.format_exception(error))}\n"
    where = "above"
    try:
        log = load_settings().data_dir / FAULTS_LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text)
        where = str(log)
    except (OSError, VmdeckError):
        print(text, file=sys.stderr)
    else:
        if os.environ.get("VMDECK_DEBUG") == "1":
            print(text, file=sys.stderr)
    message = f"Unexpected {type(error).__name__}: {error}"
    return InternalError(message, remedy=f"The traceback is in {where} at trace_id={trace_id}", trace_id=trace_id)
