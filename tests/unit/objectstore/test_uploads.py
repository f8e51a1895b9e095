"""Of an upload that ends early nothing stays in the bucket that costs room there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from engine.errors import NotReadyError
from engine.models import RemotePlace
from engine.objectstore.bucket import Bucket
from engine.objectstore.client import Answer, S3Client
from engine.objectstore.packing import PART_BYTES
from engine.objectstore.pending import PendingUploads
from engine.objectstore.place import Place
from engine.objectstore.stop import Stop, StoppedError
from engine.objectstore.tally import Tally
from engine.objectstore.upload import upload
from engine.rootfs.progress import silent
from engine.settings import Settings

PLACE = Place.of(Settings(), RemotePlace(bucket="exchange"))
KEY = "rootfs-python.ext4.zst"


class Client:
    """A service that knows of uploads and nothing else."""

    def __init__(self, before_listing: Callable[[], None] = lambda: None) -> None:
        self.unfinished: set[str] = set()
        self._before_listing = before_listing

    def create_multipart_upload(self, **_asked: object) -> Answer:
        self.unfinished.add("new")
        return {"UploadId": "new"}

    def abort_multipart_upload(self, *, UploadId: str, **_asked: object) -> Answer:
        self.unfinished.remove(UploadId)
        return {}

    def get_paginator(self, _operation: str) -> Client:
        return self

    def paginate(self, **_asked: object) -> Iterable[Answer]:
        self._before_listing()
        yield {}

    def head_object(self, **_asked: object) -> Answer:
        return {}


class FullDisk(PendingUploads):
    def keep(self, place: Place, key: str, upload_id: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def image(tmp_path: Path) -> BinaryIO:
    """Open, of two parts."""
    path = tmp_path / "rootfs.ext4"
    path.write_bytes(os.urandom(PART_BYTES + 4096))
    return path.open("rb")


def bucket(client: Client, stop: Stop) -> Bucket:
    return Bucket(PLACE, cast(S3Client, client), stop)


def send(to: Bucket, file: BinaryIO, pending: PendingUploads) -> None:
    upload(to, KEY, file, "ab" * 32, pending, Tally(silent, lambda _count: None))


def test_an_upload_whose_id_can_not_be_kept_is_aborted(image: BinaryIO, tmp_path: Path) -> None:
    client = Client()
    with image, pytest.raises(OSError, match="No space left"):
        send(bucket(client, Stop()), image, FullDisk(Settings(data_dir=tmp_path)))
    assert client.unfinished == set()


@pytest.mark.parametrize("moment", ["while it is packed", "while its parts are listed"])
def test_an_upload_that_is_gone_on_with_and_cancelled_at_once_is_aborted(
    image: BinaryIO, tmp_path: Path, moment: str
) -> None:
    stop = Stop()

    def cancelled() -> None:
        stop.ask()
        raise EndpointConnectionError(endpoint_url="http://here")

    client = Client(before_listing=cancelled)
    client.unfinished.add("begun")
    pending = PendingUploads(Settings(data_dir=tmp_path))
    pending.keep(PLACE, KEY, "begun")
    if moment == "while it is packed":
        stop.ask()
    with image, pytest.raises(StoppedError):
        send(bucket(client, stop), image, pending)
    assert client.unfinished == set()
    assert pending.find(PLACE, KEY) is None


def test_a_size_that_is_not_told_is_no_internal_error() -> None:
    with pytest.raises(NotReadyError, match="are not told"):
        bucket(Client(), Stop()).held(KEY)
