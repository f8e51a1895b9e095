"""A console with a pace of its own: ``subject SOCKET TICK_S`` attaches to the engine that serves the socket."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from console.launch import run
from engine.api import EngineApi


def _engine(_tell: Callable[[str], None], *, may_start: bool) -> AbstractAsyncContextManager[EngineApi]:
    from engine.client import RemoteEngine

    return RemoteEngine(sys.argv[1])


def main() -> int:
    return run(_engine, tick_s=float(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(main())
