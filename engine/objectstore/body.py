"""The body of an upload: tells how much of it has gone out, and breaks off when the work is to stop."""

from __future__ import annotations

import io
from collections.abc import Callable

from engine.objectstore.stop import Stop


class Body(io.BytesIO):
    """``told`` gets differences of bytes, negative ones for what has to be sent again.

    It is read for its signature, too, which counts for nothing: the two functions below tell it what comes next.
    """

    def __init__(self, data: bytes, stop: Stop, told: Callable[[int], None]) -> None:
        super().__init__(data)
        self._stop = stop
        self._told = told
        self._sent = 0
        self.sending = False

    def read(self, size: int | None = -1, /) -> bytes:
        self._stop.check()
        data = super().read(size)
        if self.sending:
            self._sent += len(data)
            self._told(len(data))
        return data

    def again(self) -> None:
        """From the beginning: what went out has not arrived."""
        self._told(-self._sent)
        self._sent, self.sending = 0, False
        self.seek(0)


def begins_signing(request: object, **_event: object) -> None:
    _mark(request, sending=False)


def begins_sending(request: object, **_event: object) -> None:
    _mark(request, sending=True)


def _mark(request: object, *, sending: bool) -> None:
    body = getattr(request, "data", None)
    if isinstance(body, Body):
        body.sending = sending
