"""Which bucket, and under which keys. Nothing is assumed: a request or a setting names the bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import InputError
from engine.models import NAME_PATTERN, RemotePlace
from engine.settings import Settings

_NAME = NAME_PATTERN.removeprefix("^").removesuffix("$")
_IMAGE_MANIFEST = re.compile(rf"rootfs-({_NAME})\.manifest\.json")
_SNAPSHOT_FOLDER = re.compile(rf"snapshots/({_NAME})/")


@dataclass(frozen=True, slots=True)
class ImageKeys:
    """Where an image lies: its content, packed, and the manifest that is put last."""

    content: str
    manifest: str


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and a prefix, which is empty or ends in a slash. ``endpoint_url`` and ``region`` may be empty."""

    bucket: str
    prefix: str
    endpoint_url: str
    region: str

    @classmethod
    def of(cls, settings: Settings, asked: RemotePlace | None) -> Place:
        """What was asked for, the rest as set. Raises InputError where no bucket is named."""
        asked = asked or RemotePlace()
        bucket = settings.s3_bucket if asked.bucket is None else asked.bucket
        if not bucket:
            raise InputError(
                "No bucket is named",
                remedy="Name it with --bucket, or for good: vmdeck settings set s3_bucket NAME",
            )
        prefix = settings.s3_prefix if asked.prefix is None else asked.prefix
        prefix = prefix.strip("/")
        return cls(
            bucket=bucket,
            prefix=f"{prefix}/" if prefix else "",
            endpoint_url=settings.s3_endpoint_url if asked.endpoint_url is None else asked.endpoint_url,
            region=settings.s3_region if asked.region is None else asked.region,
        )

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def url(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    # --- keys

    @property
    def images(self) -> str:
        """How the keys of all images begin."""
        return f"{self.prefix}rootfs-"

    @property
    def snapshots(self) -> str:
        return f"{self.prefix}snapshots/"

    def image(self, name: str) -> ImageKeys:
        """Of the image that all who ask for that name get."""
        return ImageKeys(f"{self.prefix}rootfs-{name}.ext4.zst", f"{self.prefix}rootfs-{name}.manifest.json")

    def image_of_snapshot(self, name: str) -> ImageKeys:
        """Of the image that one snapshot needs, where the one that all get is another."""
        folder = f"{self.prefix}snapshots/{name}"
        return ImageKeys(f"{folder}/rootfs.ext4.zst", f"{folder}/rootfs.manifest.json")

    def snapshot_file(self, name: str, file: str) -> str:
        return f"{self.prefix}snapshots/{name}/{file}.zst"

    def snapshot_manifest(self, name: str) -> str:
        return f"{self.prefix}snapshots/{name}/manifest.json"

    def image_name(self, key: str) -> str | None:
        """The image that a key is the manifest of."""
        found = _IMAGE_MANIFEST.fullmatch(key.removeprefix(self.prefix))
        return found[1] if found else None

    def snapshot_name(self, folder: str) -> str | None:
        found = _SNAPSHOT_FOLDER.fullmatch(folder.removeprefix(self.prefix))
        return found[1] if found else None
