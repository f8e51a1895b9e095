"""A proxy before Debian's archive that spoils the packages, and nothing else, in a way that a test chooses."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Spoil = Callable[[BaseHTTPRequestHandler, bytes, threading.Event], None]


def refused(answer: BaseHTTPRequestHandler, body: bytes, over: threading.Event) -> None:
    answer.send_error(403, "Not today")


def truncated(answer: BaseHTTPRequestHandler, body: bytes, over: threading.Event) -> None:
    _begin(answer, len(body))
    answer.wfile.write(body[: len(body) // 2])
    answer.close_connection = True


def corrupted(answer: BaseHTTPRequestHandler, body: bytes, over: threading.Event) -> None:
    middle = len(body) // 2
    _begin(answer, len(body))
    answer.wfile.write(body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :])


def stalled(answer: BaseHTTPRequestHandler, body: bytes, over: threading.Event) -> None:
    """One package and the kernel never come; apt waits out each in turn."""
    _begin(answer, len(body))
    if not any(part in answer.path for part in ("/mmdebstrap_", "/linux-image-")):
        answer.wfile.write(body)
        return
    answer.wfile.write(body[:1000])
    answer.wfile.flush()
    over.wait()
    answer.close_connection = True


def _begin(answer: BaseHTTPRequestHandler, length: int) -> None:
    answer.send_response(200)
    answer.send_header("Content-Length", str(length))
    answer.end_headers()


@contextmanager
def spoiling(spoil: Spoil) -> Iterator[str]:
    """URL of the proxy."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(self.path, timeout=60) as found:
                body = found.read()
            if self.path.endswith(".deb"):
                spoil(self, body, over)
            else:
                _begin(self, len(body))
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()
