"""Who asks the engine for something: what a front end says over the trusted socket, as far as history notes it."""

from __future__ import annotations

from contextvars import ContextVar

from engine.models import Caller

CALLER_HEADER = "X-Vmdeck-Caller"

asking: ContextVar[Caller | None] = ContextVar("asking", default=None)
"""Set for each request that a server serves; None where the engine's owner calls it directly."""
