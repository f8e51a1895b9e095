"""Exchange of images and snapshots through object storage (S3): where, and what lies there."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.models.value import Value

BUCKET_PATTERN = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
ENDPOINT_PATTERN = r"^https?://[^\s@?#]{1,300}$"
# No part begins with a dot: for HTTP clients ".." leads out of the bucket.
PREFIX_PATTERN = r"^/*([A-Za-z0-9!_*'()-][A-Za-z0-9!_.*'()-]*(/+|$))*$"
PREFIX_CHARS = 200
REGION_PATTERN = r"^[a-z0-9-]{1,40}$"

SignatureState = Literal["valid", "wrong", "unchecked", "none"]
"""``unchecked``: there is one, and no key here to check it with."""


class RemotePlace(Value):
    """A place in object storage. What is None is taken from the settings, and what these leave out from AWS's own."""

    bucket: Annotated[str, Field(pattern=BUCKET_PATTERN)] | None = None
    endpoint_url: Annotated[str, Field(pattern=ENDPOINT_PATTERN)] | None = Field(
        default=None, description="of a service other than AWS's"
    )
    prefix: Annotated[str, Field(pattern=PREFIX_PATTERN, max_length=PREFIX_CHARS)] | None = Field(
        default=None, description="what all keys begin with"
    )
    region: Annotated[str, Field(pattern=REGION_PATTERN)] | None = None


class RemoteImage(Value):
    """An image in a bucket, as its manifest there tells, which nobody here has checked but for its signature."""

    name: str
    languages: tuple[str, ...] = ()
    digest: str = ""
    size_bytes: int = 0
    packed_bytes: int = Field(default=0, description="what a download transfers")
    created: datetime | None = None
    source: str = ""
    signature: SignatureState = "none"
    here: bool = Field(default=False, description="an image of this name and digest is here")
    problem: str | None = Field(default=None, description="why it would not be taken, if so")


class RemoteSnapshot(Value):
    """A snapshot in a bucket, as its manifest there tells."""

    name: str
    language: str = ""
    image: str = ""
    image_digest: str = ""
    vmm: str = ""
    vmm_version: str = ""
    accelerator: str = ""
    memory_mib: int = 0
    vcpus: int = 0
    size_bytes: int = 0
    packed_bytes: int = Field(default=0, description="what a download transfers, without its image")
    created: datetime | None = None
    signature: SignatureState = "none"
    here: bool = Field(default=False, description="the same snapshot is here")
    problem: str | None = Field(default=None, description="why it would not be taken or not fit this host, if so")
