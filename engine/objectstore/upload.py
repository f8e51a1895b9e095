"""One file into one object: packed while it is read, in parts that go out several at a time.

An upload that broke off is gone on with: the file is packed again, and parts that have arrived with the same MD5, which
is what S3 tells of them, are not sent again. One that is cancelled is thrown away, on the other side too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from typing import BinaryIO

from engine.errors import NotReadyError, VmdeckError
from engine.objectstore.bucket import AT_ONCE, Bucket, SentPart
from engine.objectstore.faults import ObjectMissingError, UploadGoneError
from engine.objectstore.packing import PackedFile, Packer, Part
from engine.objectstore.parallel import in_order
from engine.objectstore.pending import PendingUploads
from engine.objectstore.stop import Stop, StoppedError
from engine.objectstore.tally import Tally


def upload(bucket: Bucket, key: str, file: BinaryIO, sha256: str, pending: PendingUploads, tally: Tally) -> PackedFile:
    """Returns what the object holds. Its place is taken only by the whole content of that ``sha256``.

    Raises NotReadyError where the file has another content, where it can't be sent: then the next attempt goes on;
    StoppedError, and OSError.
    """
    packer = Packer(file, bucket.stop)
    sending = _Upload(bucket, key, pending, tally)
    try:
        parts = packer.parts()
        first = next(parts)
        second = next(parts, None)
        if second is None:
            _require(packer, sha256, file.name)
            bucket.put(key, first.data, tally.moved)
            tally.did_up_to(first.content_end)
            return packer.packed()
        sending.begin()
        sending.send(chain((first, second), parts))
        _require(packer, sha256, file.name)
        sending.complete()
    except StoppedError:
        sending.throw_away()
        raise
    except UploadGoneError:
        pending.forget(bucket.place, key)
        raise
    return packer.packed()


class _Upload:
    """An upload in parts, begun or gone on with."""

    def __init__(self, bucket: Bucket, key: str, pending: PendingUploads, tally: Tally) -> None:
        self._bucket, self._key, self._pending, self._tally = bucket, key, pending, tally
        self._etags: list[str] = []
        self._arrived: dict[int, SentPart] = {}
        self._id = pending.find(bucket.place, key) or ""  # known from the first: a cancelled one is thrown away

    def begin(self) -> None:
        """Raises OSError where its id can't be kept; then nothing of it is left."""
        place = self._bucket.place
        if self._id:
            try:
                self._arrived = self._bucket.parts(self._key, self._id)
            except UploadGoneError:
                self._id = ""
                self._pending.forget(place, self._key)
            else:
                sent = sum(part.size for part in self._arrived.values())
                self._tally.line(f"Going on with an upload that broke off: {sent / 1e6:.1f} MB are there")
                return
        self._id = self._bucket.begin(self._key)
        try:
            self._pending.keep(place, self._key, self._id)
        except OSError:
            self.throw_away()
            raise

    def send(self, parts: Iterator[Part]) -> None:
        workers = self._bucket.until(self._bucket.stop.child())
        ends: list[int] = []

        def calls() -> Generator[Callable[[], str]]:
            for part in parts:
                ends.append(part.content_end)
                yield partial(self._sent, workers, part)

        with closing(in_order(calls(), AT_ONCE, workers.stop)) as etags:
            for number, etag in enumerate(etags):
                self._etags.append(etag)
                self._tally.did_up_to(ends[number])

    def _sent(self, bucket: Bucket, part: Part) -> str:
        digest = hashlib.md5(part.data, usedforsecurity=False).hexdigest()
        if self._arrived.get(part.number) == SentPart(digest, len(part.data)):
            return digest
        return bucket.put_part(self._key, self._id, part.number, part.data, self._tally.moved)

    def complete(self) -> None:
        try:
            self._bucket.complete(self._key, self._id, self._etags)
        except UploadGoneError:
            if not self._is_complete():
                raise
        self._pending.forget(self._bucket.place, self._key)

    def _is_complete(self) -> bool:
        """Whether a call completed it whose answer was lost: S3 makes the object's ETag of those of its parts."""
        try:
            digests = b"".join(map(bytes.fromhex, self._etags))
            etag = self._bucket.held(self._key).etag.strip('"')
        except (ValueError, ObjectMissingError):  # a service whose ETags are no digests, or nothing there
            return False
        whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        return etag == f"{whole}-{len(self._etags)}"

    def throw_away(self) -> None:
        """Of the upload nothing stays in the bucket, unless that can't be reached now."""
        if not self._id:
            return
        bucket = self._bucket.until(Stop())
        try:
            bucket.abort(self._key, self._id)
        except UploadGoneError:
            self._tally.line("The upload was gone already")
        except VmdeckError as error:
            self._tally.line(f"What was sent of it stays in the bucket until the next upload: {error.message}")
            return
        self._pending.forget(bucket.place, self._key)


def _require(packer: Packer, sha256: str, name: str) -> None:
    """``packer`` has come to its end."""
    if packer.packed().sha256 != sha256:
        raise NotReadyError(
            f"{name} is not what it was made as: its SHA-256 differs, and it was not uploaded",
            remedy="If it was made anew just now, try again; else build or make it anew",
        )
