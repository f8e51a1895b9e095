"""Images that Docker made, asked for."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.models.packages import MOST_PACKAGES
from engine.models.value import Name, Value

# https://pkg.go.dev/github.com/distribution/reference: host and port, path, then a tag, a digest or both.
_REFERENCE = (
    r"^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
Reference = Annotated[str, Field(pattern=_REFERENCE, max_length=512)]


class DockerImageRequest(Value):
    """A root file system from an image of a Docker engine, which pulls what it does not have, or from an archive."""

    name: Name
    image: Reference | None = Field(default=None, description="such as golang:1.25; with tar: the one to take from it")
    tar: str | None = Field(
        default=None,
        pattern=r"^/[^\x00]{0,4095}$",
        description="on the engine's host: what docker save or docker export wrote, or an OCI layout, packed or not",
    )
    docker_host: str | None = Field(
        default=None,
        pattern=r"^(unix:///|tcp://|https?://)[^\s\x00]{1,300}$",
        description="URL of the Docker engine; without it the one that DOCKER_HOST or Docker's context names",
    )
    size_mib: int | None = Field(default=None, ge=16, le=65536, description="a floor; content plus room otherwise")
    languages: tuple[str, ...] = Field((), max_length=MOST_PACKAGES)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.image is None and self.tar is None:
            raise ValueError("name an image or an archive")
        if self.tar is not None and self.docker_host is not None:
            raise ValueError("an archive needs no Docker engine")
        return self
