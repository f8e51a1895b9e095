"""The calls of one bucket. What may pass is tried again a few times; all else is raised as an error of ours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from engine.errors import NotReadyError
from engine.objectstore import faults
from engine.objectstore.body import Body
from engine.objectstore.client import Answer, S3Client, s3_client
from engine.objectstore.place import Place
from engine.objectstore.stop import Stop

AT_ONCE = 4
"""Transfers under way at the same time, each over a connection of its own."""
_ATTEMPTS = 5
_FIRST_ATTEMPTS = 2  # until it has once answered: a wrong address does not pass
_FIRST_WAIT_S = 0.5
_CHUNK = 256 * 1024

T = TypeVar("T")
Told = Callable[[int], None]
"""Is given differences of bytes transferred; called from any thread."""


@dataclass(frozen=True, slots=True)
class Held:
    """An object as it is now. Its ETag changes with its content."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class SentPart:
    etag: str
    size: int


class Bucket:
    """Blocks: for threads only, any number of them. All calls raise StoppedError when ``stop`` is asked for."""

    def __init__(self, place: Place, client: S3Client, stop: Stop, heard: threading.Event | None = None) -> None:
        """``heard`` is set once the service has answered."""
        self.place = place
        self._client = client
        self.stop = stop
        self._heard = heard or threading.Event()

    @classmethod
    def open(cls, place: Place, stop: Stop) -> Bucket:
        try:
            return cls(place, s3_client(place, AT_ONCE + 2), stop)
        except (*faults.kinds(), ValueError) as error:
            raise faults.explained(error, place, "") from None

    def __enter__(self) -> Bucket:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def until(self, stop: Stop) -> Bucket:
        """The same bucket, whose calls end with another ``stop``."""
        return Bucket(self.place, self._client, stop, self._heard)

    # --- reading

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, and in place of all that have a slash behind it, the part up to that."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.place.bucket, Prefix=prefix, Delimiter="/"
        )
        for page in self._tried(prefix, lambda: list(pages)):
            yield from (str(each["Key"]) for each in page.get("Contents", ()))
            yield from (str(each["Prefix"]) for each in page.get("CommonPrefixes", ()))

    def held(self, key: str) -> Held:
        """Raises ObjectMissingError, NotReadyError where the service does not say."""
        answer = self._tried(key, lambda: self._client.head_object(Bucket=self.place.bucket, Key=key))
        if "ContentLength" not in answer or "ETag" not in answer:  # a proxy between may have taken it away
            raise NotReadyError(
                f"Size or ETag of {self.place.url(key)} are not told", remedy="Ask the service itself, without a proxy"
            )
        return Held(int(answer["ContentLength"]), str(answer["ETag"]))

    def small(self, key: str, limit: int) -> bytes:
        """A whole object. Raises ObjectMissingError, NotReadyError where it has more than ``limit`` bytes."""

        def get() -> bytes:
            answer = self._client.get_object(Bucket=self.place.bucket, Key=key)
            with closing(answer["Body"]) as body:
                return body.read(limit + 1)

        content = self._tried(key, get)
        if len(content) > limit:
            raise NotReadyError(
                f"{self.place.url(key)} has more than {limit} bytes and was not taken",
                remedy="Remove it, upload it anew",
            )
        return content

    def piece(self, key: str, start: int, end: int, etag: str, told: Told) -> bytes:
        """Bytes ``start`` up to ``end`` of the object of that ETag. Raises ChangedError where it is another by now."""
        came = 0

        def get() -> bytes:
            nonlocal came
            told(-came)
            came = 0
            content = bytearray()
            asked = {"Range": f"bytes={start}-{end - 1}", "IfMatch": etag}
            answer = self._client.get_object(Bucket=self.place.bucket, Key=key, **asked)
            with closing(answer["Body"]) as body:
                while len(content) < end - start and (chunk := body.read(min(_CHUNK, end - start - len(content)))):
                    self.stop.check()
                    content += chunk
                    came += len(chunk)
                    told(len(chunk))
            return bytes(content)

        content = self._tried(key, get)
        if len(content) != end - start:
            raise faults.ChangedError(f"{self.place.url(key)} ends before its size", remedy="Start it again")
        return content

    # --- writing

    def put(self, key: str, data: bytes, told: Told = lambda _count: None) -> None:
        body = Body(data, self.stop, told)
        self._sent(key, body, lambda: self._client.put_object(Bucket=self.place.bucket, Key=key, Body=body))

    def begin(self, key: str) -> str:
        """The id of a new upload in parts. Until it is completed or aborted, what was sent of it costs room there."""
        answer = self._tried(key, lambda: self._client.create_multipart_upload(Bucket=self.place.bucket, Key=key))
        return str(answer["UploadId"])

    def parts(self, key: str, upload_id: str) -> dict[int, SentPart]:
        """What has arrived of an upload. Raises UploadGoneError."""
        pages = self._client.get_paginator("list_parts").paginate(Bucket=self.place.bucket, Key=key, UploadId=upload_id)
        found = self._tried(key, lambda: [part for page in pages for part in page.get("Parts", ())])
        return {int(part["PartNumber"]): SentPart(_plain(part), int(part["Size"])) for part in found}

    def put_part(self, key: str, upload_id: str, number: int, data: bytes, told: Told) -> str:
        """The ETag of the part. Raises UploadGoneError."""
        body = Body(data, self.stop, told)
        answer = self._sent(
            key,
            body,
            lambda: self._client.upload_part(
                Bucket=self.place.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body
            ),
        )
        return _plain(answer)

    def complete(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Make the parts one object, in place of an older one. Raises UploadGoneError."""
        parts = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in enumerate(etags, 1)]
        self._tried(
            key,
            lambda: self._client.complete_multipart_upload(
                Bucket=self.place.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            ),
        )

    def abort(self, key: str, upload_id: str) -> None:
        """Throw away what was sent. Raises UploadGoneError."""
        self._tried(
            key,
            lambda: self._client.abort_multipart_upload(Bucket=self.place.bucket, Key=key, UploadId=upload_id),
        )

    # --- attempts

    def _sent(self, key: str, body: Body, call: Callable[[], Answer]) -> Answer:
        def send() -> Answer:
            body.again()
            return call()

        return self._tried(key, send)

    def _tried(self, key: str, call: Callable[[], T]) -> T:
        attempts, wait_s = 0, _FIRST_WAIT_S
        while True:
            self.stop.check()
            try:
                answer = call()
            except faults.kinds() as error:
                self.stop.check()  # a body that is to stop breaks its connection
                if faults.is_answer(error):
                    self._heard.set()
                attempts += 1
                most = _ATTEMPTS if self._heard.is_set() else _FIRST_ATTEMPTS
                if attempts >= most or not faults.is_passing(error):
                    raise faults.explained(error, self.place, key) from None
            else:
                self._heard.set()
                return answer
            self.stop.wait(wait_s)
            wait_s *= 2


def _plain(answer: Answer) -> str:
    return str(answer["ETag"]).strip('"')
