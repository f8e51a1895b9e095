"""From what is typed into a buffer's fields to a request, and back; what is wrong is told by the field it stands in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from console.fault_words import fault_words
from console.field_spec import FieldSpec
from console.scratch.buffer import Buffer, BufferFile
from engine.models import RunRequest

_DEFAULT = "the language's default"
FIELDS = (
    FieldSpec("limits.timeout_s", "timeout s", _DEFAULT),
    FieldSpec("limits.cpu_s", "CPU s", _DEFAULT),
    FieldSpec("limits.memory_mib", "memory MiB", "all that the VM can give"),
    FieldSpec("limits.pids", "processes", _DEFAULT),
    FieldSpec("limits.stdout_bytes", "stdout bytes", _DEFAULT),
    FieldSpec("limits.stderr_bytes", "stderr bytes", _DEFAULT),
    FieldSpec("limits.file_mib", "file MiB", _DEFAULT),
    FieldSpec("limits.tmpfs_mib", "all files MiB", _DEFAULT),
    FieldSpec("memory_mib", "VM memory MiB", "the engine's default"),
    FieldSpec("vcpus", "VM vCPUs", "the engine's default"),
    FieldSpec("boot", "boot", "auto", kind="choice"),
    FieldSpec("snapshot", "snapshot", "any that fits", kind="choice"),
    FieldSpec("kernel", "kernel file", "none; with one, boots cold"),
)
_KEYS = frozenset(field.key for field in FIELDS)


class FieldError(ValueError):
    """``field`` is "args", "env", "stdin", "code", "files", or the key of one of FIELDS; ``index`` that of a file."""

    def __init__(self, field: str, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.index = index


def request_of(buffer: Buffer, *, batch: bool = False) -> RunRequest:
    """What the fields say; with ``batch`` once for each text for standard input. Raises FieldError."""
    values: dict[str, Any] = {
        "language": buffer.language,
        "code": buffer.main.text,
        "files": [{"path": file.path, "content": file.text} for file in buffer.files[1:]],
        "args": _args(buffer.args),
        "env": _variables(buffer.env),
        "stdin": tuple(buffer.stdins) if batch else buffer.stdin or None,
        "limits": {},
    }
    for field in FIELDS:
        if text := buffer.values.get(field.key, "").strip():
            level, _, name = field.key.rpartition(".")
            (values[level] if level else values)[name] = text
    try:
        return RunRequest.model_validate(values)
    except ValidationError as error:
        raise _field_error(error.errors()[0]) from None


def buffer_of(request: RunRequest) -> Buffer:
    """A buffer whose request is this one."""
    values = {key: text for key in _KEYS if (text := _text_at(request, key))}
    if request.timeout is not None and request.limits.timeout_s is None:
        values["limits.timeout_s"] = _number(request.timeout)
    if request.boot == "auto":
        values.pop("boot", None)
    stdin = request.stdin
    return Buffer(
        language=request.language,
        files=[BufferFile(text=request.code), *(BufferFile(path=one.path, text=one.content) for one in request.files)],
        args=shlex.join(request.args),
        env="\n".join(f"{name}={_written(value)}" for name, value in request.env.items()),
        stdins=[stdin or ""] if isinstance(stdin, str | None) else list(stdin) or [""],
        values=values,
    )


def set_words(buffer: Buffer) -> list[str]:
    """Names of the parts of the form that say something: for when the form itself is not shown."""
    limits = sum(bool(text.strip()) for text in buffer.values.values())
    lines = len(buffer.stdin.splitlines())
    batch = len(buffer.stdins)
    parts = (
        (buffer.args.strip(), "args"),
        (batch > 1, f"{batch} stdins"),
        (batch == 1 and lines, f"stdin {lines} {'line' if lines == 1 else 'lines'}"),
        (buffer.env.strip(), "env"),
        (limits, f"{limits} {'limit' if limits == 1 else 'limits'}"),
    )
    return [word for present, word in parts if present]


def _args(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise FieldError("args", f"{error}: close it, as in a shell") from None


def _variables(text: str) -> dict[str, str]:
    """One NAME=VALUE per line. A value in double quotes may hold ``\\n`` for a line break, and the like."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise FieldError("env", f"line {number} has no '=': write NAME=VALUE")
        found[name.strip()] = _read(value)
    return found


def _written(value: str) -> str:
    """As it stands where it is one plain line, else in double quotes with escapes."""
    if "\n" not in value and "\r" not in value and not (value.startswith('"') and value.endswith('"')):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


_ESCAPES = {"n": "\n", "r": "\r"}


def _read(value: str) -> str:
    if len(value) < 2 or not (value.startswith('"') and value.endswith('"')):
        return value
    found: list[str] = []
    chars = iter(value[1:-1])
    for char in chars:
        escaped = next(chars, "\\") if char == "\\" else None
        found.append(char if escaped is None else _ESCAPES.get(escaped, escaped))
    return "".join(found)


def _text_at(request: RunRequest, key: str) -> str:
    value: Any = request
    for name in key.split("."):
        value = getattr(value, name)
    return "" if value is None else _number(value)


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and value == round(value, 3) else str(value)


def _field_error(error: Any) -> FieldError:
    location: Sequence[str | int] = error["loc"]
    message = fault_words(error)
    key = ".".join(str(part) for part in location)
    if key in _KEYS:
        return FieldError(key, message)
    if location[0] == "files" and len(location) > 1:
        return FieldError("files", message, int(location[1]))
    return FieldError(str(location[0]), message)
