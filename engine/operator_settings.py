"""Settings as an operator sees and changes them: each with its origin, and with what config.toml says meanwhile.

Where a value comes from is what the sources of the settings themselves answer, each asked alone.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from engine import problem
from engine.config_file import Scalar, change, config_file
from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError
from engine.models import Setting, SettingOrigin
from engine.settings import Settings, environment_source, file_source

_SECRETS = ("api_token", "signature_key")
_FLAGS = {"api_host": "--host", "api_port": "--port", "jail": "--unjailed"}
"""Flags of `vmdeck serve` and others that stand for a setting."""


@dataclass(frozen=True, slots=True)
class _Sources:
    """What each source says now. ``broken`` is why config.toml can't be read or changed, empty where it can."""

    environment: Mapping[str, object]
    file: Mapping[str, object]
    broken: str

    @classmethod
    def asked(cls) -> _Sources:
        path = config_file()
        try:
            file, broken = file_source()(), _why_not_writable(path)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            file, broken = dict[str, object](), f"{path} can't be read: {error}"
        return cls(environment_source()(), file, broken)


def listed(settings: Settings) -> tuple[Setting, ...]:
    """All settings in the order of their declaration. Reads config.toml."""
    sources = _Sources.asked()
    return tuple(_setting(settings, name, field, sources) for name, field in Settings.model_fields.items())


def changed(settings: Settings, name: str, text: str | None) -> Setting:
    """Write a setting into config.toml, or take it out for None.

    Raises NotFoundError for a name that is none, InputError for a value that is not valid, ConflictError where the
    file would not matter, NotReadyError where it can't be written.
    """
    field = Settings.model_fields.get(name)
    if field is None:
        raise NotFoundError(f"No setting has the name {name[:64]!r}", remedy="List them: vmdeck settings")
    sources = _Sources.asked()
    now = _setting(settings, name, field, sources)
    if sources.broken:
        raise NotReadyError(now.why_not, remedy=f"Mend {config_file()}, or act as the user who owns it")
    if not now.editable:
        raise ConflictError(f"{name} can't be changed here: {now.why_not}", remedy=f"Change {now.source} instead")
    whole = {**sources.file, **sources.environment, **{flag: getattr(settings, flag) for flag in settings.flags}}
    whole.pop(name, None)
    valid = _valid(name, field, whole if text is None else {**whole, name: text})
    change(config_file(), name, None if text is None else valid, secret=name in _SECRETS)
    return _setting(settings, name, field, _Sources.asked())


def _setting(settings: Settings, name: str, field: FieldInfo, sources: _Sources) -> Setting:
    origin = _origin(settings, name, sources)
    secret = name in _SECRETS
    why_not = _why_not(name, origin, sources)
    default = _text(field.get_default(call_default_factory=True))
    value = _text(getattr(settings, name))
    return Setting(
        name=name,
        value="" if secret else value,
        default=default,
        origin=origin,
        source=_source(name, origin),
        about=field.description or "",
        choices=_choices(field),
        secret=secret,
        editable=not why_not,
        why_not=why_not,
        pending=_pending(name, field, value, default, origin, sources),
    )


def _origin(settings: Settings, name: str, sources: _Sources) -> SettingOrigin:
    """The first source that gives it, in their order; what none but the file can have given came from the file."""
    if name in settings.flags:
        return "flag"
    if name in sources.environment:
        return "environment"
    return "file" if name in settings.model_fields_set else "default"


def _source(name: str, origin: SettingOrigin) -> str:
    match origin:
        case "flag":
            return _FLAGS.get(name, "the program that opened the engine")
        case "environment":
            wanted = f"VMDECK_{name.upper()}"
            return next((variable for variable in os.environ if variable.upper() == wanted), wanted)
        case "file":
            return str(config_file())
        case "default":
            return ""


def _why_not(name: str, origin: SettingOrigin, sources: _Sources) -> str:
    if origin in ("flag", "environment"):
        return f"{_source(name, origin)} goes before {config_file()}"
    return sources.broken


def _why_not_writable(path: Path) -> str:
    """Why this user can't change the file, empty where they can. It is replaced, so its folder is what counts."""
    target = path.resolve()
    folder = next(each for each in target.parents if each.exists())
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ""
    return f"{folder} can't be written by this user, or not from within the service"


def _pending(
    name: str, field: FieldInfo, value: str, default: str, origin: SettingOrigin, sources: _Sources
) -> str | None:
    """What the next start would take instead, None where that is the same, or nobody can tell."""
    if origin not in ("default", "file") or (sources.broken and not sources.file):
        return None
    if name not in sources.file:
        then = default
    else:
        try:
            then = _text(_validated(name, sources.file))
        except ValidationError:  # the next start will refuse it: it is shown as it stands there
            then = str(sources.file[name])
    if then == value:
        return None
    return "" if name in _SECRETS else then


def _valid(name: str, field: FieldInfo, values: Mapping[str, object]) -> Scalar:
    """What ``name`` is among these values, as config.toml holds it. Raises InputError."""
    if field.annotation is Path and name in values and not Path(str(values[name])).is_absolute():
        raise InputError(
            f"{name}: {str(values[name])!r} is not an absolute path",
            remedy="Begin it with /: daemon and commands start anywhere",
        )
    try:
        value = _validated(name, values)
    except ValidationError as error:
        detail = problem.from_validation(error.errors()).detail
        default = _text(field.get_default(call_default_factory=True)) or "empty"
        raise InputError(detail, remedy=f"{name} is: {field.description}. Its default is {default}") from None
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return value if isinstance(value, int) else str(value)


def _validated(name: str, values: Mapping[str, object]) -> object:
    """What ``name`` is where these values fit together, all else being default. Raises ValidationError.

    Values that are wrong by themselves are left out, unless it is this one: they are mended one after another.
    """
    blank = Settings.__new__(Settings)
    try:
        Settings.__pydantic_validator__.validate_python(dict(values), self_instance=blank)  # no source is asked
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
        if not wrong or name in wrong:
            raise
        return _validated(name, {key: value for key, value in values.items() if key not in wrong})
    return getattr(blank, name)


def _text(value: object) -> str:
    """A value as config.toml has it, without quotes; a round number of seconds without its zero."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _choices(field: FieldInfo) -> tuple[str, ...]:
    return tuple(map(str, get_args(field.annotation))) if get_origin(field.annotation) is Literal else ()
