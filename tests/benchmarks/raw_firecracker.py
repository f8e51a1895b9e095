"""The raw baseline of a Firecracker restore: a plain script that starts it with the driver's own arguments, waits for
its socket, and asks it to load and resume, with blocking calls. No code of the engine runs while the clock does.

Its folder and files are made before the clock runs, which the driver does within its own time. It leaves out what the
driver adds beside: notes for who cleans up, readers of console and log, the guard that ends Firecracker with its
parent.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.raw import RawFailure

_DEADLINE_S = 30.0
_RETRY_S = 0.0002
_LOAD = {
    "snapshot_path": "state",
    "mem_backend": {"backend_type": "File", "backend_path": "memory"},
    "resume_vm": True,
}


@contextmanager
def loaded(command: Sequence[str], folder: Path) -> Generator[tuple[int, float]]:
    """A clone that runs, in a folder that has its files: its pid, and the milliseconds from spawn to answer."""
    path = str(folder / "api.sock")
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with _connected(path, process) as api:
            _put(api, "/snapshot/load", _LOAD)
            took_ms = (time.perf_counter() - began) * 1000
            yield process.pid, took_ms
    finally:
        process.kill()
        process.wait()


def _connected(path: str, process: subprocess.Popen[bytes]) -> socket.socket:
    end = time.perf_counter() + _DEADLINE_S
    while True:
        api = socket.socket(socket.AF_UNIX)
        try:
            api.connect(path)
        except OSError as error:
            api.close()
            if process.poll() is not None or time.perf_counter() > end:
                raise RawFailure(f"Firecracker opened no API: {error}, status {process.returncode}") from error
            time.sleep(_RETRY_S)
        else:
            api.settimeout(_DEADLINE_S)
            return api


def _put(api: socket.socket, path: str, body: object) -> None:
    content = json.dumps(body).encode()
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: raw\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    api.sendall(head.encode() + content)
    answer = api.recv(4096)
    if not answer.startswith(b"HTTP/1.1 204"):
        raise RawFailure(f"Firecracker refused {path}: {answer!r}")
