"""Whether anybody answers on a unix socket."""

from __future__ import annotations

import socket
from pathlib import Path


def listens(path: Path) -> bool:
    """False where nobody does: a killed engine leaves a file that refuses. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a listener with a full backlog is alive: don't wait for it
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True
