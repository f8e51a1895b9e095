"""Settings as an operator sees them, and the service that keeps an engine open."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.models.value import Value

SettingOrigin = Literal["default", "file", "environment", "flag"]
ServiceAction = Literal["start", "stop", "restart", "enable", "disable"]


class Setting(Value):
    """One effective setting and where its value comes from. Values are texts as config.toml writes them, unquoted."""

    name: str
    value: str = Field(description="empty for a secret that is set")
    default: str
    origin: SettingOrigin
    source: str = Field(default="", description="the file, variable or flag that gave the value")
    about: str
    choices: tuple[str, ...] = ()
    secret: bool = False
    editable: bool = True
    why_not: str = Field(default="", description="why it can't be changed here, where it can't")
    pending: str | None = Field(
        default=None, description="what config.toml says, where a restart will change the value"
    )


class SetSetting(Value):
    """A value for config.toml, as text; None takes the line away."""

    value: str | None = Field(max_length=4096)


class ServiceState(Value):
    """The service of systemd that keeps an engine open, and the addresses of this one."""

    systemd: bool = Field(description="whether systemd runs on this host")
    installed: bool
    active: bool = False
    enabled: bool = False
    seen: str = Field(description="the same in words, with the reason where something is missing")
    actions: tuple[ServiceAction, ...] = Field(default=(), description="what control_service can do now")
    addresses: tuple[str, ...] = Field(default=(), description="where this engine listens: unix:PATH, http://HOST:PORT")
    has_token: bool = False
