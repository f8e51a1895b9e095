"""What the last runs were asked to do, in memory only: nothing of it outlives the engine or reaches a file."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

from engine.models import RunRequest


class KeptRequests:
    """The newest requests that fit into ``limit_bytes`` together; 0 keeps none."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._requests: OrderedDict[str, tuple[RunRequest, int]] = OrderedDict()
        self._bytes = 0

    def keep(self, trace_id: str, request: RunRequest, item: int = 0) -> None:
        """Of a batch, the request as if it had been sent for this ``item`` alone."""
        stdin = request.stdin[item] if isinstance(request.stdin, tuple) else request.stdin
        values: dict[str, Any] = dict(request) | {"stdin": stdin}
        own = RunRequest.model_construct(**values)  # valid already, and its texts are shared, not copied
        size = _size(own)
        if size > self.limit_bytes:
            return
        self._requests[trace_id] = (own, size)
        self._bytes += size
        while self._bytes > self.limit_bytes:
            _, (_, freed) = self._requests.popitem(last=False)
            self._bytes -= freed

    def get(self, trace_id: str) -> RunRequest | None:
        found = self._requests.get(trace_id)
        return found[0] if found else None


def _size(request: RunRequest) -> int:
    """Bytes of memory that its texts take. Items of a batch share some, and are counted as if they did not."""
    texts = (
        *(request.code, request.language, request.stdin if isinstance(request.stdin, str) else ""),
        *request.args,
        *request.env.keys(),
        *request.env.values(),
        *(text for file in request.files for text in (file.path, file.content)),
    )
    return sum(map(sys.getsizeof, texts))
