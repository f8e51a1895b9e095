"""How a command that failed says so, and with which exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

from engine.errors import InternalError, VmdeckError
from engine.printable import printable, printable_json

if TYPE_CHECKING:
    from engine.problem import Problem

EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE
FAULTS_LOG = "faults.log"


def ended_by(error: Exception | KeyboardInterrupt, *, as_json: bool) -> int:
    """Say what ended a command; its exit code. What is no error of ours is recorded, and told as a fault."""
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # The reader has gone: nothing can be said, and the flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    told = error if isinstance(error, VmdeckError) else _recorded(error)
    _tell(told, as_json=as_json)
    return told.exit_code


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

    from engine.cli.chosen_settings import load_settings

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
