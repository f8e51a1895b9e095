"""The JSON documents of Docker's archives and of OCI layouts, as far as vmdeck reads them.

Docker image specification 1.2 (``manifest.json`` of docker save), OCI image specification 1.1 (index, manifest,
config).
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.errors import InputError

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Document(BaseModel):
    """What it has beyond these fields is no matter to us."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Kind = TypeVar("Kind")
_SETTINGS_BYTES = 32 * 1024


class Saved(Document):
    """One image of docker save's manifest.json: names of files in the archive, and of the image."""

    config: str = Field(alias="Config")
    layers: tuple[str, ...] = Field(alias="Layers")
    tags: tuple[str, ...] | None = Field(default=None, alias="RepoTags")


class Platform(Document):
    os: str = ""
    architecture: str = ""


class Descriptor(Document):
    digest: Digest
    media_type: str = Field(default="", alias="mediaType")
    annotations: dict[str, str] | None = None
    platform: Platform | None = None


class Index(Document):
    manifests: tuple[Descriptor, ...]


class Manifest(Document):
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Runtime(Document):
    """How a container of the image would be started."""

    env: tuple[str, ...] | None = Field(default=None, alias="Env")
    workdir: str | None = Field(default=None, alias="WorkingDir")
    user: str | None = Field(default=None, alias="User")


class Layers(Document):
    diff_ids: tuple[Digest, ...]


class Config(Document):
    """An image's own document; ``rootfs`` names the layers by what they are unpacked."""

    architecture: str
    os: str = "linux"
    config: Runtime | None = None
    rootfs: Layers


def parsed(kind: type[Kind], text: bytes, name: str) -> Kind:
    """Raises InputError."""
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise InputError(
            f"The image's {name[:200]} is not as it should be: {place} {fault['msg']}", remedy="Make the archive anew"
        ) from None


def settings(runtime: Runtime | None) -> dict[str, Any]:
    """``env``, ``workdir`` and ``user`` as an image's manifest keeps them. Raises InputError for too much."""
    found = runtime or Runtime()
    pairs = (each.partition("=") for each in found.env or ())
    env = {name: value for name, equals, value in pairs if name and equals}
    texts = (*env, *env.values(), found.workdir or "", found.user or "")
    if any("\0" in text for text in texts) or sum(len(text.encode()) for text in texts) > _SETTINGS_BYTES:
        raise InputError(
            f"The image's environment, WORKDIR and USER are over {_SETTINGS_BYTES} bytes, or have a zero byte in them",
            remedy="Build it with less ENV",
        )
    return {"env": env, "workdir": found.workdir or "/", "user": found.user or ""}
