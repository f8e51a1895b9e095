"""Settings: defaults, then the config file, then VMDECK_* variables, then flags, in rising order.

The config file is ``config.toml`` in the config folder (/etc/vmdeck for root, XDG config otherwise).
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from engine.folders import config_dir, data_dir, runtime_dir
from engine.models.exchange import BUCKET_PATTERN, ENDPOINT_PATTERN, PREFIX_CHARS, PREFIX_PATTERN, REGION_PATTERN


def _or_empty(pattern: str) -> str:
    return f"^$|{pattern}"


_Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="VMDECK_", extra="forbid", frozen=True)

    _flags: frozenset[str] = PrivateAttr(default=frozenset())

    if not TYPE_CHECKING:  # checkers know the fields from their declarations

        def __init__(self, **flags: object) -> None:
            super().__init__(**flags)
            self._flags = frozenset(flags)

    data_dir: Path = Field(default_factory=data_dir, description="kernels, images, snapshots, history")
    runtime_dir: Path = Field(default_factory=runtime_dir, description="engine socket, lock, one folder per live VM")

    vmm: Literal["auto", "firecracker", "qemu"] = Field(
        default="auto", description="auto picks the best that really works here"
    )
    accelerator: Literal["auto", "kvm", "tcg"] = Field(
        default="auto",
        description="kvm runs guests on the processor, tcg translates them; auto takes kvm where it works",
    )
    qemu_binary: str = Field(default="", description="path of qemu-system-*; empty looks on PATH")
    firecracker_binary: str = Field(
        default="", description="path of firecracker; empty takes the newest that setup installed, else looks on PATH"
    )
    jailer_binary: str = Field(default="", description="path of Firecracker's jailer; empty takes the one beside it")
    cpu_template: str = Field(
        default="",
        pattern=r"^[A-Z0-9]{0,8}$",
        description='Firecracker\'s static CPU template, as "T2"; empty for none',
    )
    jail: Literal["on", "off"] = Field(
        default="on", description="each VMM process as a user of its own, in a control group, with nothing to reach"
    )
    # Above all that distributions, containers and systemd hand out (systemd.io/UIDS-GIDS), below 2**31.
    jail_uid_first: int = Field(
        default=1_900_000_000, ge=1000, lt=2**31, description="first of the user ids that jails get"
    )
    jail_uid_count: int = Field(default=256, ge=1, le=65536, description="how many; one for each VM at once")
    jail_gid: int = Field(default=1_900_000_000, ge=1000, lt=2**31, description="group of all jails")
    default_suite: str = Field(default="", description="Debian suite of new images; empty takes the host's own")
    package_archive: str = Field(
        default="",
        pattern=r"^(https?://[^\s\x00]{1,300})?$",
        description="where Debian packages of new images come from: a dated archive gives the same ones again; empty "
        "takes the archive that the host has",
    )

    max_running: int = Field(
        default_factory=lambda: max(1, os.cpu_count() or 1), ge=1, le=65536, description="runs at once"
    )
    max_queued: int = Field(default=32, ge=0, le=65536, description="runs that may wait; more are refused as busy")
    default_memory_mib: int = Field(
        default=256, ge=64, le=65536, description="memory of a microVM where nothing else says"
    )
    default_vcpus: int = Field(default=1, ge=1, le=32, description="vCPUs of a microVM where nothing else says")
    max_memory_mib: int = Field(default=4096, ge=64, le=65536, description="largest microVM a request may ask for")
    max_vcpus: int = Field(
        default_factory=lambda: min(32, os.cpu_count() or 1),
        ge=1,
        le=32,
        description="most vCPUs a request may ask for",
    )
    max_timeout_s: _Seconds = Field(default=300, description="longest wall time a request may ask for")
    boot_deadline_s: _Seconds = Field(default=60, description="cold boot until the agent's hello")
    restore_deadline_s: _Seconds = Field(default=20, description="restore until the agent's resynced")
    kill_grace_s: _Seconds = Field(
        default=5, description="how long after a run's own limit the host ends a guest that said nothing"
    )

    keep_requests_mib: int = Field(
        default=32, ge=0, le=4096, description="what the last runs were asked to do, in memory, to run it again; 0 none"
    )

    s3_bucket: str = Field(
        default="",
        pattern=_or_empty(BUCKET_PATTERN),
        description="bucket for images and snapshots where a command names none; empty for none",
    )
    s3_prefix: str = Field(
        default="",
        pattern=PREFIX_PATTERN,
        max_length=PREFIX_CHARS,
        description="what all keys in the bucket begin with, as a folder",
    )
    s3_endpoint_url: str = Field(
        default="",
        pattern=_or_empty(ENDPOINT_PATTERN),
        description="URL of an S3 service; empty takes AWS_ENDPOINT_URL_S3, else AWS's own",
    )
    s3_region: str = Field(
        default="", pattern=_or_empty(REGION_PATTERN), description="region of the bucket; empty takes AWS_REGION"
    )
    signature_key: str = Field(
        default="",
        pattern=r"^([!-~]{32,1024})?$",
        repr=False,
        description="signs what is uploaded and checks what is downloaded; 32 characters or more, as `openssl rand "
        "-hex 32` makes, the same on all hosts",
    )
    require_signature: Literal["off", "on"] = Field(
        default="off", description="on takes no image or snapshot from a bucket that signature_key has not signed"
    )

    api_host: str = Field(default="127.0.0.1", description="address of the HTTP API; any but loopback needs a token")
    api_port: int = Field(default=8080, ge=0, le=65535, description="TCP port of the HTTP API; 0 takes a free one")
    api_token: str = Field(default="", max_length=1024, repr=False, description="required for any address but loopback")

    @field_validator("*")
    @classmethod
    def _printable(cls, value: object) -> object:
        if isinstance(value, str | Path) and not str(value).isprintable():
            raise ValueError("must be without control characters")
        return value

    @field_validator("api_token")
    @classmethod
    def _fit_for_a_header(cls, value: str) -> str:
        if not re.fullmatch(r"[!-~]*", value):
            raise ValueError("must be of printable ASCII characters without spaces: a header carries no others")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        for default, most in (("default_memory_mib", "max_memory_mib"), ("default_vcpus", "max_vcpus")):
            if getattr(self, default) > getattr(self, most):
                raise ValueError(f"{default} ({getattr(self, default)}) is above {most} ({getattr(self, most)})")
        if self.jail_uid_first + self.jail_uid_count > 2**31:
            raise ValueError("jail_uid_first and jail_uid_count reach above 2147483647")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, file_source())

    @property
    def flags(self) -> frozenset[str]:
        """Names of the settings that the program gave itself, most of them from flags of its command line."""
        return self._flags

    @cached_property
    def kernels_dir(self) -> Path:
        return self.data_dir / "kernels"

    @cached_property
    def guest_dir(self) -> Path:
        """Initramfs builds, one folder per digest of their inputs."""
        return self.data_dir / "guest"

    @cached_property
    def images_dir(self) -> Path:
        return self.data_dir / "images"

    @cached_property
    def snapshots_dir(self) -> Path:
        return self.data_dir / "snapshots"

    @cached_property
    def cache_dir(self) -> Path:
        """What builds of images have downloaded; anything in it can be fetched again."""
        return self.data_dir / "cache"

    @cached_property
    def vmm_dir(self) -> Path:
        """VMMs that setup installed, one folder per release."""
        return self.data_dir / "vmm"

    @cached_property
    def jails_dir(self) -> Path:
        """On the file system of images and snapshots, so that these come into a jail as links."""
        return self.data_dir / "jails"

    @cached_property
    def jail_uids(self) -> range:
        return range(self.jail_uid_first, self.jail_uid_first + self.jail_uid_count)

    @cached_property
    def vms_dir(self) -> Path:
        return self.runtime_dir / "vms"

    @cached_property
    def socket_path(self) -> Path:
        return self.runtime_dir / "engine.sock"

    @cached_property
    def lock_path(self) -> Path:
        return self.runtime_dir / "lock"

    @cached_property
    def data_lock_path(self) -> Path:
        return self.data_dir / "engine.lock"

    @cached_property
    def engine_log(self) -> Path:
        """What an engine says that a console has started; a daemon's words go where its starter wants them."""
        return self.runtime_dir / "engine.log"


def environment_source() -> EnvSettingsSource:
    """What variables say, asked alone."""
    return EnvSettingsSource(Settings)


def file_source() -> TomlConfigSettingsSource:
    """What the config file says now, asked alone. Raises OSError and tomllib.TOMLDecodeError."""
    return TomlConfigSettingsSource(Settings, config_dir() / "config.toml")
