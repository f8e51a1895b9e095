"""What a request's header holds, checked for its kind: each raises RequestError for anything else."""

from __future__ import annotations

from guest.static import Any, cast


class RequestError(Exception):
    """The host asked for something that can't be done; it gets an ``error`` frame."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def number(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RequestError("invalid", f"{name} is not a number")
    return value


def table(fields: dict[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise RequestError("invalid", f"{name} is not a table")
    return cast("dict[str, Any]", value)


def strings(fields: dict[str, Any], name: str) -> list[str]:
    value = fields.get(name)
    if not value or not isinstance(value, list) or not all(isinstance(item, str) for item in cast("list[Any]", value)):
        raise RequestError("invalid", f"{name} is not a list of strings")
    return cast("list[str]", value)


def environment(fields: dict[str, Any]) -> dict[str, str]:
    env: Any = fields.get("env", {})
    if not isinstance(env, dict) or not all(isinstance(item, str) for item in cast("dict[str, Any]", env).values()):
        raise RequestError("invalid", "env is not a table of strings")
    return cast("dict[str, str]", env)
