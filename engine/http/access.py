"""Who may send requests over TCP: holders of the token, or without one the programs of this host.

A web page in the operator's browser runs on this host too, so without a token a request must name a loopback host
(a rebound DNS name does not) and come from no other site's page.
"""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.http.refusal import refuse
from engine.http.responses import http_problem
from engine.problem import Problem

OPEN_PATHS = ("/docs", "/openapi.json")  # the same on every host: they tell nothing of this one
OPEN_PREFIX = "/static-offline-docs/"


class Access:
    """ASGI middleware: the token where there is one, else the guard against web pages."""

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        challenge = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
        await refuse(refusal, scope, receive, send, challenge)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if self._expected is not None:
            given = headers.get("authorization", "").encode("latin-1")
            if _is_open(scope) or hmac.compare_digest(given, self._expected):
                return None
            return http_problem(
                401, "No valid token came with this request", remedy="Send Authorization: Bearer <token>"
            )
        if not is_loopback(_host_name(headers.get("host", ""))):
            remedy = "Use http://127.0.0.1 or http://localhost, or set a token"
            return http_problem(421, "The Host header does not name this host", remedy=remedy)
        origin = headers.get("origin")
        if origin is not None and not is_loopback(_host_name(urlsplit(origin).netloc)):
            return http_problem(403, "Pages of other sites may not use this server", remedy="Set a token and send it")
        return None


def is_loopback(host: str) -> bool:
    """Whether a host name or address literal can only mean this host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_name(host_and_port: str) -> str:
    if host_and_port.startswith("["):
        return host_and_port[1:].partition("]")[0]
    return host_and_port.partition(":")[0]


def _is_open(scope: Scope) -> bool:
    path = scope["path"]
    if path == "/health":
        return not scope["query_string"]  # full=1 tells much of the host
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)
