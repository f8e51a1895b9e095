"""What the last runs were asked to do, in memory only: nothing of it outlives the engine or reaches a file."""

from __future__ import annotations

from collections import OrderedDict

from engine.models import RunRequest


class KeptRequests:
    """The newest requests that fit into ``limit_bytes`` together; 0 keeps none.

    They are kept as JSON: its length is what they take, of many small parts as of one large text.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._requests: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def keep(self, trace_id: str, request: bytes) -> None:
        if len(request) > self.limit_bytes:
            return
        self._requests[trace_id] = request
        self._bytes += len(request)
        while self._bytes > self.limit_bytes:
            _, dropped = self._requests.popitem(last=False)
            self._bytes -= len(dropped)

    def get(self, trace_id: str) -> bytes | None:
        return self._requests.get(trace_id)


def as_json(request: RunRequest, item: int = 0) -> bytes:
    """Of a batch, the request as if it had been sent for this ``item`` alone."""
    stdin = request.stdin[item] if isinstance(request.stdin, tuple) else request.stdin
    return request.model_copy(update={"stdin": stdin}).model_dump_json(exclude_defaults=True).encode()
