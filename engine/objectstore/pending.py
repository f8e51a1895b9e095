"""Uploads that have not come to their end: their ids, kept so that the next attempt goes on with them.

One file each in ``transfers/`` of the data folder. Only uploads that this data folder began are gone on with: another
host may be sending to the same key.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field, ValidationError

from engine.models import Value
from engine.objectstore.place import Place
from engine.settings import Settings
from engine.whole_file import write_whole


class _Pending(Value):
    place: str
    key: str
    upload_id: str = Field(min_length=1, max_length=4096)


class PendingUploads:
    """All of it may raise OSError."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_dir / "transfers"

    def find(self, place: Place, key: str) -> str | None:
        try:
            pending = _Pending.model_validate_json(self._path(place, key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return pending.upload_id

    def keep(self, place: Place, key: str, upload_id: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pending = _Pending(place=str(place), key=key, upload_id=upload_id)
        write_whole(self._path(place, key), pending.model_dump_json().encode(), 0o600)

    def forget(self, place: Place, key: str) -> None:
        self._path(place, key).unlink(missing_ok=True)

    def _path(self, place: Place, key: str) -> Path:
        identity = f"{place.endpoint_url}\n{place.bucket}\n{key}"
        return self._folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
