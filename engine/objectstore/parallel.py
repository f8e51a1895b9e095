"""Several calls at once, their results in order: the network is kept busy while memory stays bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from engine.objectstore.stop import Stop

T = TypeVar("T")


def in_order(calls: Iterable[Callable[[], T]], at_once: int, stop: Stop) -> Generator[T]:
    """Results of ``calls``, of which no more than ``at_once`` are under way or waiting to be taken.

    The first that fails ends it; ``stop`` is then asked, so that the others end soon, and it returns when they have.
    """
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="s3") as pool:
        try:
            for call in calls:
                if len(waiting) == at_once:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(call))
            while waiting:
                yield waiting.popleft().result()
        finally:
            if waiting:
                stop.ask()
            for future in waiting:
                future.cancel()
