"""A registry that a Docker engine pulls one image from: as much of the OCI distribution specification as that takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.unit.rootfs.docker.saved import Made

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_TYPES = {
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar",
}


@contextmanager
def serving(made: Made, held: Sequence[threading.Event] = ()) -> Iterator[str]:
    """Host and port of a registry in which the image is called ``app:1``.

    Its last layers are handed out only once their event in ``held`` is set.
    """
    blobs = {_digest(content): content for content in (made.config, *made.layers)}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _described("config", made.config),
            "layers": [_described("layer", layer) for layer in made.layers],
        }
    ).encode()
    gates = {_digest(layer): gate for layer, gate in zip(reversed(made.layers), held, strict=False)}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            last = self.path.rpartition("/")[2]
            if self.path == "/v2/":
                content, kind = b"{}", "application/json"
            elif self.path.startswith("/v2/app/manifests/") and last in ("1", _digest(manifest)):
                content, kind = manifest, _MANIFEST
            elif last in blobs:
                if body and last in gates:
                    gates[last].wait(60)
                content, kind = blobs[last], "application/octet-stream"
            else:
                content, kind = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}', ""
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        for gate in held:
            gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _described(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": _TYPES[kind], "size": len(content), "digest": _digest(content)}
