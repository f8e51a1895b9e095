"""The settings of a command line: those in force on this host, with its flags on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from engine.errors import InputError, NotReadyError

if TYPE_CHECKING:
    from engine.settings import Settings


def load_settings(**flags: object) -> Settings:
    """Settings with the flags that were given on top. Raises InputError or NotReadyError naming what is wrong."""
    import tomllib

    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from engine import problem
    from engine.folders import config_dir
    from engine.settings import Settings

    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        detail = problem.from_validation(error.errors()).detail
        raise InputError(
            f"Settings: {detail}", remedy="Look at flags, VMDECK_* variables and the config file"
        ) from None
    except (tomllib.TOMLDecodeError, SettingsError) as error:
        file = config_dir() / "config.toml"
        raise NotReadyError(f"{file} can't be read: {error}", remedy=f"Mend or remove {file}") from None


def jail_of(*, unjailed: bool) -> Literal["off"] | None:
    """The setting that the flag stands for; None leaves it to variables and the config file."""
    return "off" if unjailed else None
