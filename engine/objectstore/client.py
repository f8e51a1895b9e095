"""boto3's client of S3 as far as it is used here, with types; boto3 brings none, and takes half a second to load."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import IO, Any, Protocol, cast

from engine.objectstore.body import begins_sending, begins_signing
from engine.objectstore.place import Place

CONNECT_S = 10.0
READ_S = 30.0
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

Answer = Mapping[str, Any]


class Pages(Protocol):
    def paginate(self, **asked: object) -> Iterable[Answer]: ...


class S3Client(Protocol):
    """The calls take and give what docs.aws.amazon.com/AmazonS3/latest/API says."""

    def get_object(self, *, Bucket: str, Key: str, **asked: object) -> Answer: ...
    def head_object(self, *, Bucket: str, Key: str) -> Answer: ...
    def put_object(self, *, Bucket: str, Key: str, Body: IO[bytes], **asked: object) -> Answer: ...
    def create_multipart_upload(self, *, Bucket: str, Key: str, **asked: object) -> Answer: ...
    def upload_part(self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: IO[bytes]) -> Answer: ...
    def complete_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: object) -> Answer: ...
    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> Answer: ...
    def get_paginator(self, operation: str) -> Pages: ...
    def close(self) -> None: ...


def s3_client(place: Place, connections: int) -> S3Client:
    """A client with the credentials that AWS's own chain finds in this process: variables, files, roles.

    Takes up to a second, longer where a role is asked for; safe to use from several threads. Raises botocore's errors
    (a profile that is not there).
    """
    boto3, config = import_module("boto3"), import_module("botocore.config")
    own_service = place.endpoint_url or any(os.environ.get(name) for name in _ENDPOINTS)
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=place.endpoint_url or None,
        region_name=place.region or None,
        config=config.Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            max_pool_connections=connections,
            retries={"total_max_attempts": 1},  # bucket.py tries again, and can be stopped between attempts
            s3={"addressing_style": "path" if own_service else "auto"},  # few others have a host name per bucket
            # Others know no trailing checksums either. Content is checked by SHA-256 of our own.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    events = client.meta.events
    events.register_first("request-created.s3", begins_signing)
    events.register_last("request-created.s3", begins_sending)
    return cast(S3Client, client)
