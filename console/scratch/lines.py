"""A request as a line for a shell: ``curl`` for the HTTP API, ``vmdeck host`` for the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from console.quantities import count
from engine.models import RunRequest

TOKEN_VARIABLE = "VMDECK_API_TOKEN"  # noqa: S105  the name of the variable, not a token
DEFAULT_ADDRESS = "http://127.0.0.1:8080"
_PATH = "/api/v1/execute"
_MAX_ARGUMENT_BYTES = 128 * 1024 - 1
"""MAX_ARG_STRLEN of Linux, with its NUL: no program can be given a longer one."""
_HERE = "VMDECK_REQUEST"


@dataclass(frozen=True, slots=True)
class ShellLine:
    """``text`` for a POSIX shell, and what it does not say of the request."""

    text: str
    missing: tuple[str, ...] = ()


def curl_line(request: RunRequest, address: str = DEFAULT_ADDRESS) -> ShellLine:
    """``address`` is ``http://HOST:PORT`` or ``unix:PATH``. The token is named by its variable, never written out."""
    missing: tuple[str, ...] = ()
    if request.kernel is not None and not address.startswith("unix:"):
        missing = ("the kernel file: HTTP callers may not name one",)
        request = request.model_copy(update={"kernel": None})
    # JSON in ASCII has no control character and no quote of the shell's but ', so it survives any terminal.
    body = _ascii_json(request)
    if address.startswith("unix:"):
        where = f"--unix-socket {shlex.quote(address.removeprefix('unix:'))} http://localhost{_PATH}"
    else:
        where = f'{shlex.quote(address + _PATH)} -H "Authorization: Bearer ${TOKEN_VARIABLE}"'
    head = f"curl -sS {where} -H 'Content-Type: application/json'"
    if len(body) > _MAX_ARGUMENT_BYTES:
        return ShellLine(f"{head} --data-binary @- <<'{_HERE}'\n{body}\n{_HERE}", missing)
    return ShellLine(f"{head} --data-raw {shlex.quote(body)}", missing)


def command_line(request: RunRequest) -> ShellLine:
    """What ``vmdeck host`` can't say is named in ``missing``; such a line runs something else than the request."""
    line = shlex.join(["vmdeck", "host", *_options(request)])
    return ShellLine(line, tuple(_unsaid(request)))


def _options(request: RunRequest) -> Iterator[str]:
    """Each with its value in one word, so that a value may begin with a dash."""
    yield f"--lang={request.language}"
    yield f"--code={request.code}"
    if isinstance(request.stdin, str):
        yield f"--stdin={request.stdin}"
    yield from (f"--arg={arg}" for arg in request.args)
    yield from (f"--env={name}={value}" for name, value in request.env.items())
    timeout = request.limits.timeout_s or request.timeout
    values = (("timeout", timeout), ("mem", request.memory_mib), ("vcpus", request.vcpus))
    yield from (f"--{name}={value}" for name, value in values if value is not None)
    if request.kernel is not None:
        yield f"--kernel={request.kernel}"
    elif request.boot == "cold":
        yield "--no-snapshot"
    elif request.snapshot is not None:
        yield f"--snapshot={request.snapshot}"
    elif request.boot == "snapshot":
        yield "--snapshot"


def _unsaid(request: RunRequest) -> Iterator[str]:
    if request.files:
        yield count(len(request.files), "further file")
    if isinstance(request.stdin, tuple):
        yield f"a batch of {len(request.stdin)} inputs"
    limits = request.limits.model_dump(exclude_none=True, exclude={"timeout_s"})
    yield from (f"limit {name}" for name in limits)
    if request.snapshot is not None and (request.boot == "cold" or request.kernel is not None):
        yield f"snapshot {request.snapshot} beside a cold boot"
    if request.boot == "snapshot" and request.kernel is not None:
        yield "boot from a snapshot beside a kernel"
    for name, text in (("code", request.code), ("stdin", request.stdin)):
        if isinstance(text, str) and "\0" in text:
            yield f"{name} with a NUL, which no command line holds"
        if isinstance(text, str) and len(text.encode()) > _MAX_ARGUMENT_BYTES - len("--stdin="):
            yield f"{name} of over 128 KiB, which no command line holds: save it, and give --{_BY_FILE[name]}"


_BY_FILE = {"code": "file PATH", "stdin": "stdin-file PATH"}


def _ascii_json(request: RunRequest) -> str:
    return json.dumps(request.model_dump(mode="json", exclude_defaults=True))
